package convert

import (
	"strings"
	"testing"
)

// TestServersTakeTheWeightOfTheirVirtualServer says that the weight of a
// virtual_server counts for the servers that have none, wherever it stands.
func TestServersTakeTheWeightOfTheirVirtualServer(t *testing.T) {
	const src = `virtual_server 192.0.2.1 80 {
	protocol TCP
	lvs_sched wrr
	real_server 10.0.0.1 80 {
	}
	real_server 10.0.0.2 80 {
		weight 2
	}
	weight 5
	sorry_server 10.0.0.9 80
}
`
	cfg, losses, err := FromKeepalived("k.conf", []byte(src), KeepalivedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{5, 2, 1} {
		if got := cfg.Virtuals[0].Servers[i].Weight; got != want {
			t.Errorf("server %d has weight %d, want %d", i, got, want)
		}
	}
	if text := losses.String(); strings.Contains(text, "weight") {
		t.Errorf("the weight is called lost:\n%s", text)
	}
}

// TestServerNamesWithoutTLS says that enable_sni is a word of HTTP_GET too,
// where it does nothing.
func TestServerNamesWithoutTLS(t *testing.T) {
	const src = `virtual_server 192.0.2.1 80 {
	protocol TCP
	real_server 10.0.0.1 80 {
		HTTP_GET {
			enable_sni
			url {
				path /
			}
		}
	}
}
`
	_, losses, err := FromKeepalived("k.conf", []byte(src), KeepalivedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if text := losses.String(); strings.Contains(text, "enable_sni") {
		t.Errorf("a word that does nothing is called lost:\n%s", text)
	}
}

// TestUnusedGroupsAreTold says that a group of services which nothing names is
// not left out in silence, and that one in use is not complained of.
func TestUnusedGroupsAreTold(t *testing.T) {
	const src = `virtual_server_group used {
	192.0.2.1 80
}
virtual_server_group spare {
	192.0.2.2 80
}
virtual_server group used {
	protocol TCP
	real_server 10.0.0.1 80 {
	}
}
`
	_, losses, err := FromKeepalived("k.conf", []byte(src), KeepalivedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := losses.String()
	if !strings.Contains(text, "virtual_server_group spare: no virtual_server names it") {
		t.Errorf("the group that nothing uses is not told:\n%s", text)
	}
	if strings.Contains(text, "virtual_server_group used: no") {
		t.Errorf("the group in use is told:\n%s", text)
	}
}
