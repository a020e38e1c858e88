package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lvskit/lvskit/failover/internal/rtnl"
)

// Numbers of the kernel that package unix does not have.
const (
	nfDrop   = 0 // linux/netfilter.h
	nfAccept = 1
	// nftOwner is NFT_TABLE_F_OWNER of linux/netfilter/nf_tables.h, since Linux
	// 5.12: the table goes with the socket that made it.
	nftOwner = 2
)

// Set drops what comes for the addresses from now on, instead of what it did
// before; all are of one family, and there is one at least. It takes effect at
// once as a whole.
func (t *Table) Set(addrs []netip.Addr) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket == nil {
		err := rtnl.Inside(t.namespace, func() error {
			fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
			if err != nil {
				return err
			}
			limit := unix.NsecToTimeval(rtnl.Limit.Nanoseconds())
			if err := errors.Join(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
				unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)); err != nil {
				return errors.Join(err, unix.Close(fd))
			}
			t.socket = os.NewFile(uintptr(fd), "nf_tables")
			return nil
		})
		if err != nil {
			if errors.Is(err, unix.EPROTONOSUPPORT) {
				err = fmt.Errorf("%w: the kernel has no netfilter: it needs nf_tables of Linux 5.12 or newer", err)
			}
			return fmt.Errorf("failover: open a socket to nf_tables: %w", err)
		}
	}
	if err := t.exchange(t.batch(addrs)); err != nil {
		cure := "the router cannot keep from accepting without"
		switch {
		case errors.Is(err, fs.ErrPermission):
			// The kernel says the same of a table that belongs to another socket
			// (nft_table_lookup of net/netfilter/nf_tables_api.c).
			cure = fmt.Sprintf("run as root or give CAP_NET_ADMIN; if that is so, another router of the same number has the table: look for a second daemon (nft list table %s %s)",
				tableFamily(addrs), t.name)
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT):
			cure = "that needs nf_tables of Linux 5.12 or newer"
		}
		return fmt.Errorf("failover: table %q of nf_tables, which drops what comes for the virtual addresses: %w; %s", t.name, err, cure)
	}
	return nil
}

// tableFamily is the family of the table as nft(8) names it.
func tableFamily(addrs []netip.Addr) string {
	if addrs[0].Is6() {
		return "ip6"
	}
	return "ip"
}

// Close ends it.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.socket != nil {
		_ = t.socket.Close() // nothing is buffered in it
		t.socket = nil
	}
}

// batch is the transaction that replaces the table. Adding it first lets the
// removal find one.
func (t *Table) batch(addrs []netip.Addr) (b []byte, first, last uint32) {
	first = t.sequence + 1
	six := addrs[0].Is6()
	family := byte(unix.NFPROTO_IPV4)
	if six {
		family = unix.NFPROTO_IPV6
	}
	message := func(kind, flags uint16, resource uint16, attributes ...[]byte) {
		t.sequence++
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
		b = binary.NativeEndian.AppendUint32(b, t.sequence)
		b = append(b, 0, 0, 0, 0, family, 0)
		b = binary.BigEndian.AppendUint16(b, resource)
		b = append(b, slices.Concat(attributes...)...)
		binary.NativeEndian.PutUint32(b[at:], uint32(len(b)-at))
	}
	change := func(kind, flags uint16, attributes ...[]byte) {
		message(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, 0, attributes...)
	}
	const chain = "input"
	rule := func(expressions ...[]byte) {
		change(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, attribute(unix.NFTA_RULE_TABLE, text(t.name)),
			attribute(unix.NFTA_RULE_CHAIN, text(chain)), nested(unix.NFTA_RULE_EXPRESSIONS, expressions...))
	}
	table := attribute(unix.NFTA_TABLE_NAME, text(t.name))
	owned := attribute(unix.NFTA_TABLE_FLAGS, number(nftOwner))

	message(unix.NFNL_MSG_BATCH_BEGIN, 0, unix.NFNL_SUBSYS_NFTABLES)
	change(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, table, owned)
	change(unix.NFT_MSG_DELTABLE, 0, table)
	change(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, table, owned)
	change(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		attribute(unix.NFTA_CHAIN_TABLE, text(t.name)), attribute(unix.NFTA_CHAIN_NAME, text(chain)), attribute(unix.NFTA_CHAIN_TYPE, text("filter")),
		nested(unix.NFTA_CHAIN_HOOK, attribute(unix.NFTA_HOOK_HOOKNUM, number(unix.NF_INET_LOCAL_IN)), attribute(unix.NFTA_HOOK_PRIORITY, number(0))))
	offset := uint32(16) // of the destination in the header
	if six {
		offset = 24
		// Neighbour solicitations and advertisements are never dropped
		// (RFC 9568, section 6.1); an accept ends this chain alone.
		const solicitation, advertisement = 135, 136
		for _, kind := range []byte{solicitation, advertisement} {
			rule(expression("meta", attribute(unix.NFTA_META_KEY, number(unix.NFT_META_L4PROTO)), attribute(unix.NFTA_META_DREG, number(unix.NFT_REG_1))),
				equal([]byte{unix.IPPROTO_ICMPV6}), payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1), equal([]byte{kind}), verdict(nfAccept))
		}
	}
	for _, a := range addrs {
		rule(payload(unix.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(a.BitLen()/8)), equal(a.AsSlice()), verdict(nfDrop))
	}
	// The last change is the one that is acknowledged.
	acknowledge(b)
	last = t.sequence
	message(unix.NFNL_MSG_BATCH_END, 0, unix.NFNL_SUBSYS_NFTABLES)
	return b, first, last
}

// acknowledge asks for an answer to the last message.
func acknowledge(b []byte) {
	at := 0
	for next := at; next < len(b); next += int(binary.NativeEndian.Uint32(b[next:])) {
		at = next
	}
	flags := b[at+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
}

// exchange sends a batch and waits for the answer to its last message, or for
// the first error.
func (t *Table) exchange(b []byte, first, last uint32) error {
	fd := int(t.socket.Fd())
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 8<<10)
	for {
		n, _, err := unix.Recvfrom(fd, answer, 0)
		// Where each of many messages is refused not all the answers fit; those
		// that did come next, with the first.
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			return err
		}
		if done, err := answered(answer[:n], first, last); done {
			return err
		}
	}
}

// answered reads what the kernel says of the messages first to last of a batch.
// It is done with the first error, or when the last one is acknowledged.
func answered(m []byte, first, last uint32) (done bool, err error) {
	for len(m) >= unix.NLMSG_HDRLEN+4 {
		size := int(binary.NativeEndian.Uint32(m))
		if size < unix.NLMSG_HDRLEN+4 || size > len(m) {
			break
		}
		// One before first is of a batch that had failed already.
		if n := binary.NativeEndian.Uint32(m[8:]); n >= first && binary.NativeEndian.Uint16(m[4:]) == unix.NLMSG_ERROR {
			if code := int32(binary.NativeEndian.Uint32(m[unix.NLMSG_HDRLEN:])); code != 0 {
				return true, unix.Errno(-code)
			}
			if n == last {
				return true, nil
			}
		}
		m = m[min((size+3)&^3, len(m)):]
	}
	return false, nil
}

// attribute is a struct nlattr of linux/netlink.h with its padding.
func attribute(kind uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.NLA_HDRLEN+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, data...)
	return append(b, make([]byte, -len(data)&3)...)
}

func nested(kind uint16, attributes ...[]byte) []byte {
	return attribute(kind|unix.NLA_F_NESTED, slices.Concat(attributes...))
}

func text(s string) []byte { return append([]byte(s), 0) }

// number is a number as nf_tables has it.
func number(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// expression is one part of a rule.
func expression(name string, attributes ...[]byte) []byte {
	return nested(unix.NFTA_LIST_ELEM, attribute(unix.NFTA_EXPR_NAME, text(name)), nested(unix.NFTA_EXPR_DATA, attributes...))
}

func payload(base, offset, size uint32) []byte {
	return expression("payload", attribute(unix.NFTA_PAYLOAD_DREG, number(unix.NFT_REG_1)), attribute(unix.NFTA_PAYLOAD_BASE, number(base)),
		attribute(unix.NFTA_PAYLOAD_OFFSET, number(offset)), attribute(unix.NFTA_PAYLOAD_LEN, number(size)))
}

func equal(value []byte) []byte {
	return expression("cmp", attribute(unix.NFTA_CMP_SREG, number(unix.NFT_REG_1)), attribute(unix.NFTA_CMP_OP, number(unix.NFT_CMP_EQ)),
		nested(unix.NFTA_CMP_DATA, attribute(unix.NFTA_DATA_VALUE, value)))
}

func verdict(code uint32) []byte {
	return expression("immediate", attribute(unix.NFTA_IMMEDIATE_DREG, number(unix.NFT_REG_VERDICT)),
		nested(unix.NFTA_IMMEDIATE_DATA, nested(unix.NFTA_DATA_VERDICT, attribute(unix.NFTA_VERDICT_CODE, number(code)))))
}
