package director

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/lvscf"
)

// Names need not be unique in an lvs.cf, nor free of the signs that we put
// between them; the monitor's watches have to be told apart all the same.
func TestFromLVSCFTellsEqualNamesApart(t *testing.T) {
	for name, blocks := range map[string][][]string{
		"two virtuals of one name":      {{"web", "a", "b"}, {"web", "a", "b"}},
		"two servers of one name":       {{"web", "a", "a"}},
		"a name that looks like ours":   {{"web", "a#2", "a", "a"}, {"web#2", "a"}, {"web", "a"}},
		"slashes in names":              {{"a/b", "c"}, {"a", "b/c"}},
		"the web tool's names, unnamed": {{"[server_name]", "[unnamed]", "[unnamed]"}, {"[server_name]", "[unnamed]"}},
	} {
		t.Run(name, func(t *testing.T) {
			var src strings.Builder
			src.WriteString("primary = 192.0.2.1\nservice = lvs\nnetwork = direct\n")
			n, want := 0, 0
			for _, block := range blocks {
				n++
				fmt.Fprintf(&src, "virtual %s {\nactive = 1\naddress = 192.0.2.9 eth0:1\nport = %d\n", block[0], 8000+n)
				for _, server := range block[1:] {
					want++
					fmt.Fprintf(&src, "server %s {\naddress = 10.0.0.%d\nactive = 1\n}\n", server, want)
				}
				src.WriteString("}\n")
			}
			conf, diags := lvscf.Load("lvs.cf", []byte(src.String()))
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			s, err := FromLVSCF(conf)
			if err != nil {
				t.Fatal(err)
			}
			watches := s.Watches()
			if len(watches) != want {
				t.Errorf("%d watches, want %d", len(watches), want)
			}
			if err := health.NewMonitor(nil).Set(watches); err != nil {
				t.Error(err)
			}
		})
	}
}
