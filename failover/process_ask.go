package failover

import (
	"context"
	"errors"
	"fmt"

	"github.com/lvskit/lvskit/failover/pulse"
)

// ask does what the daemon asks for.
func (w *ward) ask(n *note) {
	arg := func(to any) bool {
		err := unpack(n, to)
		if err != nil {
			w.keeper.answer(n, nil, err)
			w.keeper.complain(err)
		}
		return err == nil
	}
	switch n.Verb {
	case verbStatus:
		w.look(n, w.status)
		return
	case verbFault:
		if reason := ""; arg(&reason) {
			w.setFault(reason)
		}
	case verbPriority:
		if priority := uint8(0); arg(&priority) && w.router != nil {
			w.router.SetPriority(priority)
		}
	case verbYield:
		w.keeper.answer(n, nil, w.yield())
		return
	case verbTake:
		if w.node != nil {
			w.keeper.answer(n, nil, w.node.Take())
		}
		return
	case verbVerdicts:
		if data := []byte(nil); arg(&data) && w.node != nil {
			_, list, err := pulse.ParseVerdicts(data)
			if err == nil {
				err = w.node.SetVerdicts(list)
			}
			w.keeper.answer(n, nil, err)
		}
		return
	case verbAddressStatus:
		if w.owner != nil {
			w.look(n, func() any { return w.owner.Status() })
			return
		}
	case verbPartnerVerdicts:
		if w.node != nil {
			w.keeper.answer(n, w.partnerVerdicts(), nil)
			return
		}
	case verbKeys:
		if keys := []pulse.Key(nil); arg(&keys) && w.node != nil {
			w.keeper.answer(n, nil, w.node.SetKeys(keys))
		}
		return
	case verbWaive:
		if w.router != nil {
			w.router.Waive()
		}
	case verbReclaim:
		if w.router != nil {
			w.router.Reclaim()
		}
	case verbAnnounce:
		if w.router != nil {
			w.router.Announce()
		} else {
			w.node.Announce()
		}
	case verbConfigure:
		if c := (RouterConfig{}); arg(&c) && w.router != nil {
			w.keeper.answer(n, nil, w.router.Reconfigure(context.Background(), &c))
		}
		return
	case verbDigest:
		if d := [32]byte{}; arg(&d) && w.node != nil {
			w.node.SetDigest(d)
		}
	case verbDocument:
		if d := (wireDocument{}); arg(&d) && w.node != nil {
			w.keeper.answer(n, nil, w.node.SetDocument(d.Digest, d.Document))
		}
		return
	case verbPartner:
		if w.node != nil {
			w.keeper.answer(n, w.node.PartnerDocument(), nil)
			return
		}
	case verbAddresses:
		if c := (AddressesConfig{}); arg(&c) && w.owner != nil {
			w.keeper.work.Go(func() { // it may have to wait for another of its tasks
				ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
				defer cancel()
				w.keeper.answer(n, nil, w.own(ctx, &c))
			})
		}
		return
	default:
		err := fmt.Errorf("%w: the verb %.40q is not known", errBroken, n.Verb)
		w.keeper.answer(n, nil, err)
		w.keeper.complain(err)
		return
	}
	w.keeper.answer(n, nil, nil)
}

// look answers with what may have to wait for thousands of addresses to come or
// go: meanwhile the daemon is to see signs of life.
func (w *ward) look(n *note, at func() any) {
	k := w.keeper
	select {
	case k.looking <- struct{}{}:
		go func() {
			k.answer(n, at(), nil)
			<-k.looking
		}()
	default:
		k.answer(n, nil, errors.New("failover: too many questions wait for their answer"))
	}
}

// wireDocument is the argument of verbDocument.
type wireDocument struct {
	Digest   [32]byte `json:"digest"`
	Document []byte   `json:"document"`
}

// wireStatus is a Status with what its own form in JSON leaves out.
type wireStatus struct {
	Status
	PartnerDigest [32]byte `json:"partner_digest"`
}

func (w *ward) status() any {
	if w.router != nil {
		return w.router.Status()
	}
	s := w.node.Status()
	return wireStatus{s, s.Partner.Digest}
}

func (w *ward) partnerVerdicts() []byte {
	list, age, ok := w.node.PartnerVerdicts()
	if !ok {
		return nil
	}
	data, _ := pulse.AppendVerdicts(nil, age, list) // it came as one
	return data
}

func (w *ward) setFault(reason string) {
	if w.router != nil {
		w.router.SetFault(reason)
	} else {
		w.node.SetFault(reason)
	}
}

func (w *ward) yield() error {
	if w.router != nil {
		return w.router.Yield()
	}
	return w.node.Yield()
}
