//go:build linux && peers

package health_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// TestPeersMySQL meets MariaDB: with the names of the clients looked up, as it
// counts the errors of those only, and never of 127.0.0.1.
func TestPeersMySQL(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a server that looks names up in a file of ours wants root")
	}
	addr, dir := freePort(t), openDir(t)
	trust := peerPair(t, dir)
	files(t, dir, map[string]string{
		"hosts":         "127.0.0.1 localhost\n127.1.1.1 director\n127.1.1.2 rude\n127.1.1.3 careless\n",
		"nsswitch.conf": "hosts: files\n",
		"init.sql": `CREATE USER probe IDENTIFIED BY 'secret';
CREATE USER local IDENTIFIED VIA unix_socket;
CREATE USER secure IDENTIFIED BY 'secret' REQUIRE SSL;
`,
	})
	// What mariadb-install-db does, which needs the tools of clients.
	tables := "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
	for _, name := range []string{"tables", "tables_data"} {
		b, err := os.ReadFile("/usr/share/mysql/mysql_system_" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		tables += string(b)
	}
	files(t, dir, map[string]string{"data/empty": ""})
	program := installed(t, "mariadbd")
	setup := unprivileged(exec.Command(program, "--no-defaults", "--bootstrap", "--datadir="+dir+"/data", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M", "--innodb-flush-method=nosync"))
	setup.Stdin = strings.NewReader(tables)
	run(t, setup)
	c := must(health.NewMySQL(&health.MySQLConfig{User: "probe", Password: "secret"}))
	cmd := exec.Command("unshare", "--mount", "sh", "-ec", `mount --bind "$1/hosts" /etc/hosts; mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf; shift; exec "$@"`, "sh", dir,
		program, "--no-defaults", "--user=nobody", "--datadir="+dir+"/data", "--socket="+dir+"/socket", "--pid-file="+dir+"/pid",
		"--bind-address="+addr.Addr().String(), "--port="+fmt.Sprint(addr.Port()), "--init-file="+dir+"/init.sql", "--max-connect-errors=3",
		"--ssl-cert="+dir+"/cert", "--ssl-key="+dir+"/key", "--log-warnings=9", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-method=nosync")
	d := start(t, cmd)
	d.wait(t, c, addr, health.OK)

	type cfg = health.MySQLConfig
	from := func(source string) health.Dial { return health.Dial{Source: netip.MustParseAddr(source)} }
	good := from("127.1.1.1")
	stranger := trust
	stranger.ServerName = "example.net"
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{User: "probe", Password: "secret", Dial: good}, health.OK, "logged in"},
		{cfg{User: "probe", Password: "secret", TLS: &trust, Dial: good}, health.OK, "logged in"},
		{cfg{User: "secure", Password: "secret", TLS: &trust, Dial: good}, health.OK, "logged in"},
		{cfg{Dial: good}, health.OK, "is alive and refuses unknown users"},
		{cfg{TLS: &trust, Dial: good}, health.OK, "is alive and refuses unknown users"},
		{cfg{User: "probe", Password: "wrong", Dial: good}, health.Fail, "login: error 1045 Access denied for user 'probe'@'director' (using password: YES)"},
		{cfg{User: "secure", Password: "secret", Dial: good}, health.Fail, "error 1045"},
		{cfg{User: "local", Dial: good}, health.Fail, "error 1698"},
		{cfg{User: "probe", Password: "secret", TLS: &stranger, Dial: from("127.1.1.3")}, health.Fail, "tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not example.net"},
	} {
		c := must(health.NewMySQL(&tt.cfg))
		for range 20 {
			want(t, check(t, c, addr, short), tt.want, tt.reason)
		}
	}
	// None of all these were counted against us.
	for _, source := range []string{"127.1.1.1", "127.1.1.3"} {
		want(t, check(t, must(health.NewMySQL(&cfg{User: "probe", Password: "secret", Dial: from(source)})), addr, short), health.OK, "logged in")
	}
	// Who leaves after the greeting is locked out before long.
	for range 4 {
		dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 1, 2)}}
		rude, err := dial.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = rude.Read(make([]byte, 64))
		rude.Close()
		time.Sleep(20 * time.Millisecond)
	}
	want(t, check(t, must(health.NewMySQL(&cfg{User: "probe", Password: "secret", Dial: from("127.1.1.2")})), addr, short), health.Fail, "is blocked because of many connection errors; unblock with 'mariadb-admin flush-hosts'")
	d.ends(t, c, addr, "greeting", "connect")
}

func TestPeersPostgres(t *testing.T) {
	t.Parallel()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		found = []string{"/usr/lib/postgresql/15/bin/postgres"}
	}
	program := installed(t, found[len(found)-1])
	dir := openDir(t)
	trust := peerPair(t, dir)
	data := dir + "/data"
	run(t, unprivileged(exec.Command(filepath.Join(filepath.Dir(program), "initdb"), "-D", data, "-U", "admin", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")))
	files(t, data, map[string]string{"pg_hba.conf": `local all admin trust
host all locked all reject
host all writer all scram-sha-256
host all older all md5
hostssl all plain all password
host all full,probe all trust
hostssl all secure all trust
`})
	sql := unprivileged(exec.Command(program, "--single", "-F", "-D", data, "postgres"))
	sql.Stdin = strings.NewReader("CREATE ROLE probe LOGIN\nCREATE ROLE secure LOGIN\nCREATE ROLE locked LOGIN\nCREATE ROLE full LOGIN CONNECTION LIMIT 0\nCREATE ROLE writer LOGIN PASSWORD 'secret'\nCREATE ROLE plain LOGIN PASSWORD 'secret'\nSET password_encryption = 'md5'\nCREATE ROLE older LOGIN PASSWORD 'secret'\n")
	run(t, sql)
	serve := func(addr netip.AddrPort, data string, more ...string) *daemon {
		cmd := unprivileged(exec.Command(program, append([]string{
			"-D", data, "-c", "listen_addresses=" + addr.Addr().String(), "-p", fmt.Sprint(addr.Port()),
			"-c", "unix_socket_directories=", "-c", "ssl=on", "-c", "ssl_cert_file=" + dir + "/cert", "-c", "ssl_key_file=" + dir + "/key", "-c", "fsync=off", "-c", "shared_buffers=1MB",
		}, more...)...))
		return start(t, cmd)
	}
	// A copy that is a standby without queries never comes further.
	run(t, exec.Command("cp", "-a", data, dir+"/standby"))
	files(t, dir, map[string]string{"standby/standby.signal": ""})

	addr := freePort(t)
	type cfg = health.PostgresConfig
	c := must(health.NewPostgres(&cfg{User: "probe", Database: "postgres"}))
	d := serve(addr, data)
	d.wait(t, c, addr, health.OK)
	stranger := trust
	stranger.ServerName = "example.net"
	for _, tt := range []struct {
		cfg    cfg
		want   health.Verdict
		reason string
	}{
		{cfg{User: "probe", Database: "postgres"}, health.OK, "startup: session opened"},
		{cfg{User: "probe", Database: "postgres", TLS: &trust}, health.OK, "startup: session opened"},
		{cfg{User: "secure", Database: "postgres", TLS: &trust}, health.OK, "startup: session opened"},
		{cfg{User: "writer", Database: "postgres"}, health.OK, "startup: accepts sessions, and waits for a password"},
		{cfg{User: "writer", Database: "postgres", Password: "secret"}, health.OK, "quit: logged in"},
		{cfg{User: "writer", Database: "postgres", Password: "secret", TLS: &trust}, health.OK, "quit: logged in"},
		{cfg{User: "writer", Database: "postgres", Password: "wrong"}, health.Fail, `login: error 28P01 password authentication failed for user "writer"`},
		{cfg{User: "writer", Database: "postgres", Query: "SELECT 1"}, health.Fail, "login: the server wants a password, and the check has none"},
		{cfg{User: "older", Database: "postgres", Password: "secret"}, health.OK, "quit: logged in"},
		{cfg{User: "older", Database: "postgres", Password: "wrong"}, health.Fail, "login: error 28P01"},
		{cfg{User: "plain", Database: "postgres", Password: "secret", TLS: &trust}, health.OK, "quit: logged in"},
		{cfg{User: "writer", Database: "postgres", Password: "secret", Query: "SELECT NOT pg_is_in_recovery()", Expect: "t"}, health.OK, "quit: the query returns what is expected"},
		{cfg{User: "probe", Database: "postgres", Query: "SELECT pg_is_in_recovery()", Expect: "t"}, health.Fail, `query: the query returns "f", expected "t"`},
		{cfg{User: "probe", Database: "postgres", Query: "SELECT FROM nothing"}, health.Fail, `query: error 42P01 relation "nothing" does not exist`},
		{cfg{User: "probe", Database: "postgres", Query: "COPY (SELECT 1) TO STDOUT"}, health.Fail, "query: the query copies data"},
		{cfg{User: "full", Database: "postgres", Password: "x"}, health.Fail, "login: error 53300"},
		{cfg{}, health.OK, "startup: alive, and refuses unknown users"},
		{cfg{TLS: &trust}, health.OK, "startup: alive, and refuses unknown users"},
		{cfg{User: "secure", Database: "postgres"}, health.Fail, `startup: error 28000 no pg_hba.conf entry for host "127.0.0.1", user "secure", database "postgres", no encryption`},
		{cfg{User: "locked", Database: "postgres"}, health.Fail, "startup: error 28000 pg_hba.conf rejects connection for host"},
		{cfg{User: "full", Database: "postgres"}, health.Fail, "startup: error 53300 too many connections for role"},
		{cfg{User: "probe", Database: "nowhere"}, health.Fail, `startup: error 3D000 database "nowhere" does not exist`},
		{cfg{User: "probe", TLS: &stranger}, health.Fail, "not example.net"},
	} {
		want(t, check(t, must(health.NewPostgres(&tt.cfg)), addr, short), tt.want, tt.reason)
	}
	for _, complaint := range []string{"connection reset", "unexpected EOF", "incomplete startup"} {
		if said := d.said(); strings.Contains(said, complaint) {
			t.Errorf("the server complains of a check: %s", said)
		}
	}

	standby := freePort(t)
	waits := serve(standby, dir+"/standby", "-c", "hot_standby=off", "-c", "ssl=off")
	waits.wait(t, must(health.NewTCP(nil)), standby, health.OK)
	r := check(t, c, standby, short)
	for end := time.Now().Add(time.Minute); r.Reason == "startup: error 57P03 the database system is starting up" && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
		r = check(t, c, standby, short)
	}
	want(t, r, health.Fail, "startup: error 57P03 the database system is not accepting connections")
	want(t, check(t, must(health.NewPostgres(&cfg{TLS: &trust})), standby, short), health.Fail, "sslrequest: the server does not offer TLS")

	// While somebody is still at work a server that shuts down says so.
	busy, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	words := "user\x00probe\x00database\x00postgres\x00\x00"
	hello := binary.BigEndian.AppendUint32(nil, uint32(8+len(words)))
	if _, err := busy.Write(append(binary.BigEndian.AppendUint32(hello, 3<<16), words...)); err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	d.wait(t, c, addr, health.Fail)
	want(t, check(t, c, addr, short), health.Fail, "startup: error 57P03 the database system is shutting down")
	busy.Close()
	_ = waits.cmd.Process.Signal(syscall.SIGTERM)
	<-d.gone
	<-waits.gone
}
