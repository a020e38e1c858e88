package lvscf_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/lvskit/lvskit/lvscf"
)

func ExampleLoad() {
	cfg, diags := lvscf.Load("lvs.cf", []byte(`
network = direct
virtual web {
    active = 1
    address = 192.0.2.10 eth0:1
    server one {
        address = 192.0.2.21
        active = 1
        weight = 2
    }
}
`))
	if err := diags.Err(); err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range cfg.Virtuals {
		for _, s := range v.Servers {
			fmt.Printf("%v/%v:%d by %v -> %v:%d weight %d\n", v.Protocol, v.Address, v.Port, v.Scheduler, s.Address, s.Port, s.Weight)
		}
	}
	// Output: tcp/192.0.2.10:80 by wlc -> 192.0.2.21:80 weight 2
}

func ExampleLoad_faults() {
	_, diags := lvscf.Load("lvs.cf", []byte(`network = direct   # the fast one
virtual web {
    adress = 192.0.2.10 eth0:1
    active=1
    timeout = 08
}
`))
	for _, d := range diags {
		fmt.Println(d)
	}
	// Output:
	// lvs.cf:1:20: warning: a comment follows on the line, which Piranha refuses: move the comment to a line of its own, above this one [LVS012]
	// lvs.cf:3:5: unknown command: "adress": did you mean "address"? [LVS030]
	// lvs.cf:4:11: warning: there is no blank before =, which Piranha needs: put a blank on both sides of the sign [LVS013]
	// lvs.cf:5:15: warning: "08" is read as 8; to Piranha its leading zero makes it octal: write 8 [LVS052]
}

func ExampleOptions_Load() {
	_, diags := lvscf.Options{Dialect: lvscf.Strict}.Load("lvs.cf", []byte(`network = direct   # the fast one
virtual web {
    adress = 192.0.2.10 eth0:1
    active=1
    timeout = 08
}
`))
	for _, d := range diags {
		fmt.Println(d)
	}
	// Output:
	// lvs.cf:1:20: unexpected arguments: "#" after the value: move the comment to a line of its own, above this one [LVS012]
	// lvs.cf:3:5: unknown command: "adress": did you mean "address"? [LVS030]
	// lvs.cf:4:5: unknown command: "active=1": put blanks on both sides of the sign: "active = ..." [LVS013]
	// lvs.cf:5:15: integer expected: "08" is not a whole number: a leading zero makes it octal, which has no 8 and 9; write 8 [LVS050]
}

func ExampleParse() {
	file, _ := lvscf.Parse("lvs.cf", []byte("# our balancer\r\nnetwork   = nat\r\n"))
	for line := range file.Lines() {
		fmt.Printf("%d %d words\n", line.Number, len(line.Tokens))
	}
	fmt.Printf("%q\n", file.Bytes())
	// Output:
	// 1 0 words
	// 2 3 words
	// "# our balancer\r\nnetwork   = nat\r\n"
}

func ExampleConfig_Resolve() {
	cfg, _ := lvscf.Load("lvs.cf", []byte("primary = lb1.example.net\n"))
	names := map[string]string{"lb1.example.net": "192.0.2.1"}
	diags := cfg.Resolve(func(name string) (netip.Addr, error) { return netip.ParseAddr(names[name]) })
	text, _ := json.Marshal(cfg.Primary)
	fmt.Println(len(diags), string(text))
	// Output: 0 {"name":"lb1.example.net","addr":"192.0.2.1"}
}

func ExampleUnescape() {
	fmt.Printf("%q\n", lvscf.Unescape(`GET / HTTP/1.0\r\n\r\n`))
	// Output: "GET / HTTP/1.0\r\n\r\n"
}

func ExampleDiagnostics_WriteSARIF() {
	_, diags := lvscf.Load("lvs.cf", []byte("network = direct # fast\n"))
	var log strings.Builder
	if err := diags.WriteSARIF(&log, "1.0"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(strings.Count(log.String(), `"ruleId": "LVS012"`))
	// Output: 1
}
