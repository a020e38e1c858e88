package ipvsadm

import (
	"errors"
	"strconv"
	"time"

	"github.com/lvskit/lvskit/ipvs"
)

// command reads one command line; first is where it begins.
func (p *parser) command(first word, words []word) (Command, *SyntaxError) {
	if err := p.scan(words); err != nil {
		return Command{}, err
	}
	if p.verb == nil {
		at := first
		if len(p.rest) > 0 {
			at = p.rest[0]
		}
		return Command{}, p.errorf(at, "no command: want one of -A -E -D -C, -a -e -d, -L -Z -S -R, --set, --start-daemon, --stop-daemon")
	}
	c := Command{Verb: p.verb.verb, Pos: p.pos(first)}
	if p.helps() {
		return c, nil
	}
	if err := p.fits(); err != nil {
		return Command{}, err
	}
	var err *SyntaxError
	switch c.Verb {
	case AddService, EditService, DeleteService, AddServer, EditServer, DeleteServer:
		err = p.change(&c)
	case List:
		err = p.list(&c)
	case Zero:
		if p.seen(optService) {
			c.Service, err = p.serviceKey()
		}
	case Save:
		c.Numeric = p.seen(optNumeric)
	case SetTimeouts:
		err = p.timeouts(&c)
	case StartDaemon, StopDaemon:
		err = p.daemon(&c)
	}
	if err != nil {
		return Command{}, err
	}
	return c, nil
}

// fits finds options and words that do not belong to the command.
func (p *parser) fits() *SyntaxError {
	verb := p.verb.verb
	for i := range p.given {
		if g := &p.given[i]; g.option != nil && !g.with.has(verb) {
			return p.errorf(g.at, "option %s does not go with %s: it belongs to %v", g.flag(), p.verb.flag(), g.with)
		}
	}
	if p.seen(optIPv6) && p.given[optService].option != shortOption('f') {
		return p.errorf(p.at(optIPv6), "-6 goes with -f only: an address tells its family itself")
	}
	// The timeouts after the first have no option of their own.
	extra := 0
	if verb == SetTimeouts {
		extra = 2
	}
	if len(p.rest) > extra {
		return p.errorf(p.rest[extra], "unexpected word %s", quoted(p.rest[extra].text))
	}
	return nil
}

// change reads the six commands that change an entry of the table.
func (p *parser) change(c *Command) *SyntaxError {
	if !p.seen(optService) {
		return p.errorf(p.verbAt, "%s needs a service: -t, -u or --sctp-service HOST:PORT, or -f MARK", p.verb.flag())
	}
	key, err := p.serviceKey()
	if err != nil {
		return err
	}
	at := p.at(optService)
	c.serviceLine, c.serviceColumn = at.line, at.column
	c.Change = ipvs.Change{Op: c.Verb.Op(), Service: ipvs.Service{Key: key}}
	switch c.Verb {
	case AddService, EditService:
		c.Change.Service, err = p.service(key)
		return err
	case AddServer, EditServer, DeleteServer:
		if !p.seen(optServer) {
			return p.errorf(p.verbAt, "%s needs a server: -r HOST or HOST:PORT", p.verb.flag())
		}
		at := p.at(optServer)
		c.serverLine, c.serverColumn = at.line, at.column
		c.Change.Destination, err = p.destination(key, c.Verb == DeleteServer)
		return err
	}
	return nil
}

// number reads a decimal number, which the real program reads with leading
// zeros too, and without respect for octal.
func (p *parser) number(id optionID, least, most uint64) (uint64, *SyntaxError) {
	g := &p.given[id]
	n, ok := decimal(g.value.text, least, most)
	if !ok {
		return 0, p.errorf(g.value, "%s after %s: want %s", quoted(g.value.text), g.flag(), g.want)
	}
	return n, nil
}

func decimal(s string, least, most uint64) (uint64, bool) {
	// ParseUint takes a sign for an error, and underscores with base 0 only.
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n >= least && n <= most
}

// maxSeconds is the longest timeout that ipvsadm takes, 31 days.
const maxSeconds = 31 * 24 * 60 * 60

// timeouts reads the three values of --set.
func (p *parser) timeouts(c *Command) *SyntaxError {
	words := [3]word{p.verbArg}
	if len(p.rest) < 2 {
		return p.errorf(p.verbAt, "--set has %d of its three timeouts: TCP TCPFIN UDP in seconds, 0 to leave one as it is", 1+len(p.rest))
	}
	copy(words[1:], p.rest)
	c.Timeouts = new(ipvs.Timeouts)
	for i, d := range []*time.Duration{&c.Timeouts.TCP, &c.Timeouts.TCPFin, &c.Timeouts.UDP} {
		n, ok := decimal(words[i].text, 0, maxSeconds)
		if !ok {
			return p.errorf(words[i], "timeout %s: want seconds, 0..%d", quoted(words[i].text), maxSeconds)
		}
		*d = time.Duration(n) * time.Second
	}
	return nil
}

// fault is what is wrong with a service or destination and which option
// would say it.
type fault struct {
	about optionID
	err   error
}

func faultf(about optionID, text string) *fault { return &fault{about, errors.New(text)} }

// locate makes an error of a fault, where the option is or the option named
// by or.
func (p *parser) locate(f *fault, or optionID) *SyntaxError {
	if !p.seen(f.about) {
		f.about = or
	}
	return p.wrap(p.at(f.about), f.err.Error(), f.err)
}
