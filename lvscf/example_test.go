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

func ExampleFile_Apply() {
	file, _ := lvscf.Parse("lvs.cf", []byte(`serial_no = 41
virtual web {
     active = 1
     address = 192.0.2.10 eth0:1   # the public one
     server a {
         address = 10.0.0.1
         weight = 1
     }
}
`))
	web := lvscf.Path{}.Virtual("web")
	file, err := file.Apply(
		lvscf.Set(web.Directive("address"), "192.0.2.11", "eth0:1"),
		lvscf.Set(web.Server("a").Directive("active"), "1"),
		lvscf.Rename(web, "www"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(file.Bytes()))
	// Output:
	// serial_no = 42
	// virtual www {
	//      active = 1
	//      address = 192.0.2.11 eth0:1   # the public one
	//      server a {
	//          address = 10.0.0.1
	//          active = 1
	//          weight = 1
	//      }
	// }
}

func ExampleParseEdit() {
	file, _ := lvscf.Parse("lvs.cf", []byte("serial_no = 1\r\nnetwork = nat\r\n"))
	edit, err := lvscf.ParseEdit("set network = direct")
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err = file.Apply(edit)
	fmt.Printf("%q %v\n", file.Bytes(), err)
	// Output: "serial_no = 2\r\nnetwork = direct\r\n" <nil>
}

func ExampleFile_Format() {
	file, _ := lvscf.Parse("lvs.cf", []byte("network=direct # fast\nvirtual web{\nport=80\n}\n"))
	file, err := file.Format()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(file.Bytes()))
	// Output:
	// network = direct  # fast
	//
	// virtual web {
	//     port = 80
	// }
}

func ExampleConfig_File() {
	cfg := lvscf.NewConfig()
	cfg.Serial = 1
	web := lvscf.NewVirtual("web")
	web.Active = true
	web.Address, web.Device = lvscf.Host{Addr: netip.MustParseAddr("192.0.2.10")}, "eth0:1"
	web.Servers = []lvscf.Server{lvscf.NewServer("a", web.Port)}
	web.Servers[0].Address.Addr = netip.MustParseAddr("10.0.0.1")
	cfg.Virtuals = append(cfg.Virtuals, web)
	file, err := cfg.File()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(file.Bytes()))
	// Output:
	// serial_no = 1
	//
	// virtual web {
	//     active = 1
	//     address = 192.0.2.10 eth0:1
	//
	//     server a {
	//         address = 10.0.0.1
	//     }
	// }
}
