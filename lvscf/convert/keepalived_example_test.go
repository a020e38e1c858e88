package convert_test

import (
	"fmt"

	"github.com/lvskit/lvskit/lvscf"
	"github.com/lvskit/lvskit/lvscf/convert"
)

func ExampleFromKeepalived() {
	src := `
vrrp_instance web {
    interface eth0
    virtual_router_id 41
    virtual_ipaddress {
        192.0.2.80/24
    }
    authentication {
        auth_type PASS
        auth_pass secret
    }
}
virtual_server 192.0.2.80 80 {
    delay_loop 10
    lb_algo wrr
    lb_kind DR
    protocol TCP
    real_server 10.0.0.1 80 {
        weight 3
        TCP_CHECK {
        }
    }
}
`
	cfg, losses, err := convert.FromKeepalived("keepalived.conf", []byte(src), convert.KeepalivedOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := cfg.File()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n%s", losses, file.Bytes())
	// Output:
	// 1. keepalived.conf:8:5, vrrp_instance web: authentication PASS: lvs.cf holds no secrets; nearest: auth = password and key_file = FILE, with the password in that file
	//
	// serial_no = 0
	// failover_mode = vrrp
	// network = direct
	//
	// vrrp web {
	//     interface = eth0
	//     vrid = 41
	//     version = 2
	// }
	//
	// virtual tcp_192.0.2.80_80 {
	//     active = 1
	//     address = 192.0.2.80 eth0
	//     vip_nmask = 255.255.255.0
	//     check = tcp
	//     scheduler = wrr
	//     timeout = 5
	//     interval = 10
	//     fast_interval = 1
	//     rise = 1
	//     fall = 2
	//     start_state = up
	//
	//     server 10.0.0.1_80 {
	//         address = 10.0.0.1
	//         active = 1
	//         weight = 3
	//     }
	// }
}

func ExampleToKeepalived() {
	cfg, _ := lvscf.Load("lvs.cf", []byte(`
network = direct
virtual mail {
    active = 1
    address = 192.0.2.25 eth0:1
    port = 25
    server one {
        address = 10.0.0.1
        active = 1
    }
}
`))
	text, losses := convert.ToKeepalived(cfg)
	fmt.Printf("%s\n%s", losses, text)
	// Output:
	// 1. virtual "mail" / check "tcp": reentry = 180: keepalived takes a server back after one good answer; nearest: leave it out
	// 2. virtual "mail" / check "tcp": start_state = unknown, the default: keepalived has up, and alpha for down; nearest: alpha
	//
	// # keepalived.conf made from lvs.cf
	//
	// static_ipaddress {
	//     192.0.2.25 dev eth0 label eth0:1
	// }
	//
	// # virtual mail
	// virtual_server 192.0.2.25 25 {
	//     snmp_name "mail"
	//     lvs_sched wlc
	//     lvs_method DR
	//     protocol TCP
	//
	//     real_server 10.0.0.1 25 {
	//         snmp_name "one"
	//         weight 1
	//         TCP_CHECK {
	//             connect_timeout 10
	//             alpha on
	//             delay_loop 10
	//             retry 0
	//         }
	//     }
	// }
}
