package health_test

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/lvskit/lvskit/health"
	"github.com/lvskit/lvskit/health/healthtest"
)

func TestRedis(t *testing.T) {
	const ping = "*1\r\n$4\r\nPING\r\n"
	plain := must(health.NewRedis(nil))
	login := must(health.NewRedis(&health.RedisConfig{Username: "lb", Password: "s3 cret\r\n"}))
	master := must(health.NewRedis(&health.RedisConfig{Role: "master", Password: "p"}))
	third := must(health.NewRedis(&health.RedisConfig{Database: 3}))
	const choose = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
	auth := step{Hear: "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n", Say: "+OK\r\n"}
	play(t, map[string]conversation{
		"pong":         {plain, healthtest.Dialogue(step{Hear: ping, Say: "+PONG\r\n"}), health.OK, "ping: PONG"},
		"loading":      {plain, healthtest.Dialogue(step{Hear: ping, Say: "-LOADING Redis is loading the dataset in memory\r\n"}), health.Fail, `"-LOADING Redis is loading`},
		"no master":    {plain, healthtest.Dialogue(step{Hear: ping, Say: "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"}), health.Fail, "MASTERDOWN"},
		"locked":       {plain, healthtest.Dialogue(step{Hear: ping, Say: "-NOAUTH Authentication required.\r\n"}), health.OK, "ping: alive, wants a password"},
		"full":         {plain, healthtest.SayAndClose("-ERR max number of clients reached\r\n"), health.Fail, "max number of clients"},
		"login":        {login, healthtest.Dialogue(step{Hear: "*3\r\n$4\r\nAUTH\r\n$2\r\nlb\r\n$9\r\ns3 cret\r\n\r\n", Say: "+OK\r\n"}, step{Hear: ping, Say: "+PONG\r\n"}), health.OK, "PONG"},
		"wrong login":  {login, healthtest.Dialogue(step{Hear: "AUTH", Say: "-WRONGPASS invalid username-password pair or user is disabled.\r\n"}), health.Fail, "auth: the server refuses user and password"},
		"still locked": {login, healthtest.Dialogue(step{Hear: "AUTH", Say: "+OK\r\n"}, step{Hear: ping, Say: "-NOAUTH x\r\n"}), health.Fail, "NOAUTH"},
		"master":       {master, healthtest.Dialogue(auth, step{Hear: "ROLE", Say: "*3\r\n$6\r\nmaster\r\n:3129659\r\n*0\r\n"}), health.OK, "role: role master"},
		"replica":      {master, healthtest.Dialogue(auth, step{Hear: "ROLE", Say: "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$9\r\nconnected\r\n:3167038\r\n"}), health.Fail, `role "slave", expected master`},
		"database":     {third, healthtest.Dialogue(step{Hear: choose, Say: "+OK\r\n"}, step{Hear: ping, Say: "+PONG\r\n"}), health.OK, "PONG"},
		"no database":  {third, healthtest.Dialogue(step{Hear: choose, Say: "-ERR DB index is out of range\r\n"}), health.Fail, `select: database 3: "-ERR DB index`},
		"locked, too":  {third, healthtest.Dialogue(step{Hear: choose, Say: "-NOAUTH no\r\n"}, step{Hear: ping, Say: "-NOAUTH no\r\n"}), health.OK, "wants a password"},
		"role denied":  {master, healthtest.Dialogue(auth, step{Hear: "ROLE", Say: "-NOPERM no\r\n"}), health.Fail, "expected an array"},
		"role of none": {master, healthtest.Dialogue(auth, step{Hear: "ROLE", Say: "*0\r\n"}), health.Fail, "expected an array"},
		"role is long": {master, healthtest.Dialogue(auth, step{Hear: "ROLE", Say: "*1\r\n$999999999\r\n"}), health.Fail, "expected a name"},
	})
	for name, c := range map[string]health.Checker{"password": login, "master": master} {
		if id := c.Identity(); strings.Contains(id, "s3") || strings.Contains(id, `"p"`) {
			t.Errorf("the identity of %s shows the password: %s", name, id)
		}
	}
	_, err := health.NewRedis(&health.RedisConfig{Role: "king", Username: "x", Database: -1})
	if err == nil || !strings.Contains(err.Error(), `role "king"`) || !strings.Contains(err.Error(), "without a password") || !strings.Contains(err.Error(), "database -1") {
		t.Errorf("error %v", err)
	}
}

func TestMemcached(t *testing.T) {
	c := must(health.NewMemcached(nil))
	play(t, map[string]conversation{
		"version": {c, healthtest.Dialogue(step{Hear: "version\r\n", Say: "VERSION 1.6.18\r\n"}), health.OK, "version: memcached 1.6.18"},
		"error":   {c, healthtest.Dialogue(step{Hear: "version\r\n", Say: "ERROR\r\n"}), health.Fail, `answer "ERROR"`},
		"full":    {c, healthtest.SayAndClose("ERROR Too many open connections\r\n"), health.Fail, "Too many open connections"},
	})
}

// packet is one of MySQL's.
func packet(seq byte, body string) string {
	return string([]byte{byte(len(body)), byte(len(body) >> 8), 0, seq}) + body
}

// mysqlHello is a greeting with the capabilities in two halves.
func mysqlHello(plugin string, tls bool) string {
	low := "\xff\xf7"
	if tls {
		low = "\xff\xff"
	}
	return packet(0, "\x0a8.0.36\x00\x08\x00\x00\x00"+"abcdefgh\x00"+low+"\xff\x02\x00\xff\xdf\x15"+strings.Repeat("\x00", 10)+"ijklmnopqrst\x00"+plugin+"\x00")
}

func TestMySQL(t *testing.T) {
	server, roots := certificate()
	ok := packet(2, "\x00\x00\x00\x02\x00\x00\x00")
	const native, sha2 = "mysql_native_password", "caching_sha2_password"
	user := must(health.NewMySQL(&health.MySQLConfig{User: "lb", Password: "secret"}))
	bare := must(health.NewMySQL(&health.MySQLConfig{User: "lb"}))
	stranger := must(health.NewMySQL(nil))
	secure := must(health.NewMySQL(&health.MySQLConfig{User: "lb", Password: "secret", TLS: &health.TLSConfig{RootsPEM: roots}}))
	astray := must(health.NewMySQL(&health.MySQLConfig{User: "lb", Password: "secret", TLS: &health.TLSConfig{RootsPEM: roots, ServerName: "example.net"}}))
	quit := step{Hear: "\x01\x00\x00\x00\x01"}
	denied := packet(2, "\xff\x15\x04#28000Access denied for user 'lvskit-health'@'192.0.2.1' (using password: NO)")
	// SHA1(p) XOR SHA1(scramble + SHA1(SHA1(p))), computed apart.
	const nativeAnswer = "\x14\x88\x17\xc5\x0f\xa7\x79\xda\xef\x01\x0e\xe7\x57\x78\x25\xb0\x84\x7d\xf9\x84\x2e"
	play(t, map[string]conversation{
		"login":             {user, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: "lb\x00" + nativeAnswer + native + "\x00", Say: ok}, quit), health.OK, "quit: MySQL 8.0.36, logged in"},
		"without password":  {bare, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: "lb\x00\x00" + native, Say: ok}, quit), health.OK, "logged in"},
		"wrong password":    {user, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: native, Say: denied}), health.Fail, "login: error 1045 Access denied"},
		"cached password":   {user, healthtest.Dialogue(step{Say: mysqlHello(sha2, false)}, step{Hear: sha2, Say: packet(2, "\x01\x03") + packet(3, "\x00\x00\x00\x02\x00\x00\x00")}, quit), health.OK, ""},
		"password in full":  {user, healthtest.Dialogue(step{Say: mysqlHello(sha2, false)}, step{Hear: sha2, Say: packet(2, "\x01\x04")}, step{Hear: "\x00\x00\x00\x03", Say: denied}), health.Fail, "login: the server has not cached the password of lb and wants it in full, which needs TLS"},
		"switch":            {user, healthtest.Dialogue(step{Say: mysqlHello(sha2, false)}, step{Hear: sha2, Say: packet(2, "\xfe"+native+"\x00abcdefghijklmnopqrst\x00")}, step{Hear: "\x14\x00\x00\x03" + nativeAnswer[1:], Say: packet(4, "\x00\x00\x00\x02\x00\x00\x00")}, quit), health.OK, ""},
		"unknown way":       {user, healthtest.Dialogue(step{Say: mysqlHello("ed25519", false)}, step{Hear: "ed25519", Say: packet(2, "\xfeclient_ed25519\x00xx")}, step{Hear: "\x00\x00\x00\x03", Say: denied}), health.Fail, "log in by client_ed25519"},
		"endless":           {user, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: native, Say: strings.Repeat(packet(2, "\x01\x03"), 9)}), health.Fail, "no end"},
		"stranger":          {stranger, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: "lvskit-health\x00\x00", Say: denied}), health.OK, "alive and refuses unknown users"},
		"stranger let in":   {stranger, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: "lvskit-health\x00\x00", Say: ok}, quit), health.OK, "logged in"},
		"stranger, trouble": {stranger, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: native, Say: packet(2, "\xff\x0d\x04#08S01Server shutdown in progress")}), health.Fail, "error 1037"},
		"full":              {user, healthtest.SayAndClose(packet(0, "\xff\x10\x04Too many connections")), health.Fail, "greeting: error 1040 Too many connections"},
		"blocked":           {user, healthtest.SayAndClose(packet(0, "\xff\x69\x04Host '192.0.2.1' is blocked because of many connection errors")), health.Fail, "is blocked"},
		"old":               {user, healthtest.Say(packet(0, "\x09x\x00")), health.Fail, "expected version 10"},
		"cut off":           {user, healthtest.Say(packet(0, "\x0a8.0\x00abc")), health.Fail, "cut off"},
		"huge":              {user, healthtest.Say("\xff\xff\xff\x00"), health.Fail, "is this MySQL?"},
		"no tls":            {secure, healthtest.Dialogue(step{Say: mysqlHello(native, false)}, step{Hear: "lvskit-health\x00\x00" + native, Say: denied}), health.Fail, "greeting: MySQL 8.0.36 does not offer TLS"},
		"unknown way, hung": {user, healthtest.Dialogue(step{Say: mysqlHello("ed25519", false)}, step{Hear: "ed25519", Say: packet(2, "\xfeclient_ed25519\x00xx")}), health.Fail, "log in by client_ed25519"},
		// The exchange is completed, but not with the password.
		"tls, another name": {astray, healthtest.Dialogue(
			step{Say: mysqlHello(native, true)}, step{Hear: "\xff\xff\xff\x00\x2d" + strings.Repeat("\x00", 23), TLS: server},
			step{Hear: "lvskit-health\x00\x00" + native, Say: denied},
		), health.Fail, "tls: failed to verify certificate: x509: certificate is valid for example.com"},
		"tls, in full": {secure, healthtest.Dialogue(
			step{Say: mysqlHello(sha2, true)}, step{Hear: "\xff\xff\xff\x00\x2d" + strings.Repeat("\x00", 23), TLS: server},
			step{Hear: "lb\x00", Say: packet(3, "\x01\x04")}, step{Hear: "\x07\x00\x00\x04secret\x00", Say: packet(5, "\x00\x00\x00\x02\x00\x00\x00")}, quit,
		), health.OK, "logged in"},
	})
}

func TestMySQLQuery(t *testing.T) {
	c := must(health.NewMySQL(&health.MySQLConfig{User: "lb", Database: "shop", Query: "SELECT 1"}))
	const native = "mysql_native_password"
	ok := "\x00\x00\x00\x02\x00\x00\x00"
	use := step{Hear: "\x05\x00\x00\x00\x02shop", Say: packet(1, ok)}
	ask := func(answers ...string) step {
		s := step{Hear: "\x09\x00\x00\x00\x03SELECT 1"}
		for i, a := range answers {
			s.Say += packet(byte(i+1), a)
		}
		return s
	}
	after := func(steps ...step) healthtest.Behavior {
		return healthtest.Dialogue(append([]step{{Say: mysqlHello(native, false)}, {Hear: native, Say: packet(2, ok)}}, steps...)...)
	}
	const column, end, row = "\x03def\x00\x00\x00\x011\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00", "\xfe\x00\x00\x02\x00", "\x011"
	play(t, map[string]conversation{
		"a row":           {c, after(use, ask("\x01", column, end, row, end), step{Hear: "\x01\x00\x00\x00\x01"}), health.OK, "quit: MySQL 8.0.36, logged in, database shop, the statement gives a row"},
		"no row":          {c, after(use, ask("\x01", column, end, end)), health.Fail, "query: the statement gives no row"},
		"no such table":   {c, after(use, ask("\xff\x7a\x04#42S02Table 'shop.x' doesn't exist")), health.Fail, "query: error 1146 Table 'shop.x'"},
		"no result":       {c, after(use, ask(ok)), health.Fail, "query: the statement gives no rows by its nature"},
		"no such base":    {c, after(step{Hear: "\x02shop", Say: packet(1, "\xff\x19\x04#42000Unknown database 'shop'")}), health.Fail, "database: error 1049 Unknown database 'shop'"},
		"odd answer":      {c, after(step{Hear: "\x02shop", Say: packet(1, "\x05")}), health.Fail, "to the choice of the database"},
		"dies in between": {c, after(use, ask("\x01", column)), health.Fail, "query: "},
		"columns only":    {c, after(use, ask("\x01", column, column)), health.Fail, "after the columns of a result"},
	})
	if _, err := health.NewMySQL(&health.MySQLConfig{Database: "shop"}); err == nil || !strings.Contains(err.Error(), "without a user") {
		t.Errorf("error %v", err)
	}
}

func TestPostgres(t *testing.T) {
	server, roots := certificate()
	stranger := must(health.NewPostgres(nil))
	user := must(health.NewPostgres(&health.PostgresConfig{User: "lb", Database: "app"}))
	secure := must(health.NewPostgres(&health.PostgresConfig{TLS: &health.TLSConfig{RootsPEM: roots}}))
	fatal := func(state, text string) string {
		body := "SFATAL\x00VFATAL\x00C" + state + "\x00M" + text + "\x00Fpostmaster.c\x00L2379\x00\x00"
		return "E\x00\x00\x00" + string([]byte{byte(len(body) + 4)}) + body
	}
	start := step{Hear: "\x00\x03\x00\x00user\x00lvskit-health\x00"}
	const scramOnly = "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
	login := must(health.NewPostgres(&health.PostgresConfig{User: "lb", Password: "secret"}))
	query := must(health.NewPostgres(&health.PostgresConfig{User: "lb", Query: "SELECT NOT pg_is_in_recovery()", Expect: "t"}))
	clear := must(health.NewPostgres(&health.PostgresConfig{User: "lb", Password: "secret", TLS: &health.TLSConfig{RootsPEM: roots}}))
	const ready = "R\x00\x00\x00\x08\x00\x00\x00\x00S\x00\x00\x00\x08a\x00b\x00K\x00\x00\x00\x0c12345678Z\x00\x00\x00\x05I"
	const done = "C\x00\x00\x00\x0dSELECT 1\x00Z\x00\x00\x00\x05I"
	row := func(data string) string {
		return "T\x00\x00\x00\x06\x00\x00D\x00\x00\x00" + string([]byte{byte(len(data) + 4)}) + data + done
	}
	ask := func(answer string) healthtest.Behavior {
		return healthtest.Dialogue(step{Hear: "user\x00lb\x00", Say: ready}, step{Hear: "Q\x00\x00\x00\x23SELECT NOT pg_is_in_recovery()\x00", Say: answer}, step{Hear: "X\x00\x00\x00\x04"})
	}
	say := func(text string) healthtest.Behavior { s := start; s.Say = text; return healthtest.Dialogue(s) }
	const scram = "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
	const trust = "R\x00\x00\x00\x08\x00\x00\x00\x00"
	play(t, map[string]conversation{
		"password": {stranger, say(scram), health.OK, "startup: accepts sessions, and waits for a password"},
		"trust":    {stranger, say(trust + "S\x00\x00\x00\x0aa\x00b\x00c\x00K\x00\x00\x00\x0c12345678Z\x00\x00\x00\x05I"), health.OK, "session opened"},
		"trust, but full": {user, healthtest.Dialogue(step{
			Hear: "user\x00lb\x00", Say: trust + fatal("53300", "too many connections for role"),
		}), health.Fail, "error 53300 too many connections for role"},
		"starting":              {stranger, say(fatal("57P03", "the database system is starting up")), health.Fail, "error 57P03 the database system is starting up"},
		"full":                  {stranger, say(fatal("53300", "sorry, too many clients already")), health.Fail, "53300"},
		"stranger":              {stranger, say(fatal("28000", `role "lvskit-health" does not exist`)), health.OK, "refuses unknown users"},
		"nowhere":               {stranger, say(fatal("3D000", `database "lvskit-health" does not exist`)), health.OK, ""},
		"login, trusted":        {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: ready}, step{Hear: "X\x00\x00\x00\x04"}), health.OK, "quit: logged in"},
		"login by MD5":          {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: "R\x00\x00\x00\x0c\x00\x00\x00\x05abcd"}, step{Hear: "p\x00\x00\x00\x28" + pgMD5, Say: ready}, step{Hear: "X"}), health.OK, "logged in"},
		"login in clear":        {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: "R\x00\x00\x00\x08\x00\x00\x00\x03"}), health.Fail, "login: the server wants the password in clear, which needs TLS"},
		"login in clear by TLS": {clear, healthtest.Dialogue(step{Hear: "\x04\xd2\x16\x2f", Say: "S", TLS: server}, step{Hear: "lb\x00", Say: "R\x00\x00\x00\x08\x00\x00\x00\x03"}, step{Hear: "p\x00\x00\x00\x0bsecret\x00", Say: ready}, step{Hear: "X"}), health.OK, "logged in"},
		"login by SCRAM":        {login, pgSCRAM("secret", nil), health.OK, "quit: logged in"},
		"SCRAM, wrong password": {login, pgSCRAM("other", nil), health.Fail, "login: error 28P01 wrong"},
		"SCRAM, impostor": {login, pgSCRAM("secret", func(m string) string {
			return strings.Replace(m, "v=", "v=AAAA", 1)
		}), health.Fail, "does not prove that it knows the password"},
		"SCRAM, no proof":        {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: scramOnly}, step{Hear: "SCRAM-SHA-256\x00\x00\x00\x00", Say: ready}), health.Fail, "without a proof"},
		"SCRAM, foreign nonce":   {login, pgSCRAM("secret", func(m string) string { return strings.Replace(m, "r=", "r=x", 1) }), health.Fail, "not for us"},
		"SCRAM, too much work":   {login, pgSCRAM("secret", func(m string) string { return strings.Replace(m, "i=", "i=999", 1) }), health.Fail, "rounds, more than 131072"},
		"SCRAM, again and again": {login, pgChallenges, health.Fail, "by way 11, which this check does not know, or not twice"},
		"SCRAM, begun anew": {login, healthtest.Dialogue(
			step{Hear: "lb\x00", Say: scramOnly}, step{Hear: "SCRAM-SHA-256\x00\x00\x00\x00", Say: scramOnly},
		), health.Fail, "by way 10, which this check does not know, or not twice"},
		"SCRAM, unreadable":      {login, pgSCRAM("secret", func(m string) string { return strings.Replace(m, "s=", "x=", 1) }), health.Fail, "cannot be read"},
		"SCRAM only with more":   {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: "R\x00\x00\x00\x1c\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00\x00"}), health.Fail, "expected SCRAM-SHA-256"},
		"Kerberos":               {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: "R\x00\x00\x00\x08\x00\x00\x00\x07"}), health.Fail, "by way 7"},
		"endless notices":        {login, healthtest.Dialogue(step{Hear: "lb\x00", Say: ready[:9] + strings.Repeat("N\x00\x00\x00\x05\x00", 100)}), health.Fail, "no end"},
		"query":                  {query, ask(row("\x00\x01\x00\x00\x00\x01t")), health.OK, "quit: the query returns what is expected"},
		"query, another value":   {query, ask(row("\x00\x01\x00\x00\x00\x01f")), health.Fail, `query: the query returns "f", expected "t"`},
		"query, NULL":            {query, ask(row("\x00\x01\xff\xff\xff\xff")), health.Fail, "returns NULL"},
		"query, no row":          {query, ask(done), health.Fail, "no row"},
		"query, cut off":         {query, ask(row("\x00\x01\x00\x00\x00\x09t")), health.Fail, "is cut off"},
		"query, error":           {query, ask(fatal("42501", "permission denied") + done[14:]), health.Fail, "query: error 42501 permission denied"},
		"query, copy":            {query, ask("H\x00\x00\x00\x07\x00\x00\x00" + done), health.Fail, "copies data"},
		"query without password": {query, healthtest.Dialogue(step{Hear: "lb\x00", Say: scramOnly}), health.Fail, "the check has none"},
		"user refused": {user, healthtest.Dialogue(step{
			Hear: "user\x00lb\x00database\x00app\x00", Say: fatal("28000", "no pg_hba.conf entry"),
		}), health.Fail, "error 28000 no pg_hba.conf entry"},
		"tls": {secure, healthtest.Dialogue(
			step{Hear: "\x00\x00\x00\x08\x04\xd2\x16\x2f", Say: "S", TLS: server}, step{Hear: "lvskit-health", Say: scram},
		), health.OK, "accepts sessions"},
		"no tls":             {secure, healthtest.Dialogue(step{Hear: "\x04\xd2\x16\x2f", Say: "N"}), health.Fail, "does not offer TLS"},
		"tls, slipped in":    {secure, healthtest.Dialogue(step{Hear: "\x04\xd2\x16\x2f", Say: "SR"}), health.Fail, "plain text"},
		"something else":     {stranger, say("HTTP/1.1 400 Bad Request\r\n"), health.Fail, "is this PostgreSQL?"},
		"absurdly long":      {stranger, say("E\x7f\x00\x00\x00"), health.Fail, "is this PostgreSQL?"},
		"error without code": {stranger, say("E\x00\x00\x00\x05\x00"), health.Fail, "error ?"},
	})
}

// pgMD5 is md5(md5("secret" + "lb") + "abcd"), computed apart.
const pgMD5 = "md52c10665bda5880054b013768e5096040"

// pgSCRAM is a PostgreSQL server that wants SCRAM-SHA-256; spoil changes what it
// says of it.
func pgSCRAM(password string, spoil func(string) string) healthtest.Behavior {
	if spoil == nil {
		spoil = func(s string) string { return s }
	}
	return func(_ context.Context, c net.Conn) {
		buf := make([]byte, 4096)
		hear := func() string {
			n, _ := c.Read(buf)
			return string(buf[:n])
		}
		say := func(kind byte, body string) {
			b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(4+len(body)))
			_, _ = c.Write(append(b, body...))
		}
		hear()
		say('R', "\x00\x00\x00\x0aSCRAM-SHA-256-PLUS\x00SCRAM-SHA-256\x00\x00")
		_, first, _ := strings.Cut(hear(), "n,,")
		_, nonce, _ := strings.Cut(first, ",r=")
		challenge := spoil("r=" + nonce + "more,s=" + base64.StdEncoding.EncodeToString([]byte("salt")) + ",i=4096")
		say('R', "\x00\x00\x00\x0b"+challenge)
		final := hear()
		if final == "" {
			return
		}
		without, proofText, _ := strings.Cut(final[5:], ",p=")
		mac := func(key []byte, text string) []byte {
			h := hmac.New(sha256.New, key)
			h.Write([]byte(text))
			return h.Sum(nil)
		}
		salted, _ := pbkdf2.Key(sha256.New, password, []byte("salt"), 4096, 32)
		message := first + "," + challenge + "," + without
		stored := sha256.Sum256(mac(salted, "Client Key"))
		key, _ := base64.StdEncoding.DecodeString(proofText)
		for i, b := range mac(stored[:], message) {
			key[i] ^= b
		}
		if sha256.Sum256(key) != stored {
			say('E', "SFATAL\x00C28P01\x00Mwrong\x00\x00")
			return
		}
		say('R', "\x00\x00\x00\x0c"+spoil("v="+base64.StdEncoding.EncodeToString(mac(mac(salted, "Server Key"), message))))
		say('R', "\x00\x00\x00\x00")
		say('Z', "I")
		hear()
	}
}

func TestLDAP(t *testing.T) {
	server, roots := certificate()
	nobody := must(health.NewLDAP(nil))
	some := must(health.NewLDAP(&health.LDAPConfig{BindDN: "cn=lb,dc=example,dc=com", Password: "secret"}))
	start := must(health.NewLDAP(&health.LDAPConfig{StartTLS: true, TLS: &health.TLSConfig{RootsPEM: roots}}))
	const question = "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"
	const bound = "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
	play(t, map[string]conversation{
		"anonymous": {nobody, healthtest.Dialogue(step{Hear: question, Say: bound}), health.OK, "bind: bound"},
		"long form": {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x61\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}), health.OK, ""},
		"with a name": {some, healthtest.Dialogue(step{
			Hear: "\x04\x17cn=lb,dc=example,dc=com\x80\x06secret", Say: bound,
		}), health.OK, ""},
		"wrong password": {some, healthtest.Dialogue(step{Hear: "secret", Say: "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00"}), health.Fail, "result 49 invalid credentials"},
		"forbidden":      {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x1d\x02\x01\x01\x61\x18\x0a\x01\x30\x04\x00\x04\x11anonymous refused"}), health.Fail, "result 48 inappropriate authentication (does it forbid anonymous binds?): anonymous refused"},
		"other number":   {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x0c\x02\x01\x07\x61\x07\x0a\x01\x00\x04\x00\x04\x00"}), health.Fail, "message 7"},
		"notice":         {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x34\x04\x00\x04\x00"}), health.Fail, "disconnects: result 52 unavailable"},
		"absurdly long":  {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x84\x7f\xff\xff\xff"}), health.Fail, "more than 4096 bytes"},
		"no length":      {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x80\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00\x00\x00"}), health.Fail, "is no LDAP message"},
		"a long length":  {nobody, healthtest.Dialogue(step{Hear: question, Say: "\x30\x88\x00\x00\x00\x00\x00\x00\x00\x0c"}), health.Fail, "is no LDAP message"},
		"starttls": {start, healthtest.Dialogue(
			step{Hear: "\x02\x01\x02\x77\x18\x80\x161.3.6.1.4.1.1466.20037", Say: "\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00", TLS: server},
			step{Hear: question, Say: bound},
		), health.OK, "bound"},
		"no starttls": {start, healthtest.Dialogue(step{Hear: "20037", Say: "\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x02\x04\x00\x04\x00"}), health.Fail, "starttls: result 2 protocol error"},
	})
}

func TestLDAPSearch(t *testing.T) {
	c := must(health.NewLDAP(&health.LDAPConfig{Base: "dc=example,dc=net"}))
	const bound = "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
	const entry = "\x30\x1a\x02\x01\x04\x64\x15\x04\x11dc=example,dc=net\x30\x00"
	const done, referral = "\x30\x0c\x02\x01\x04\x65\x07\x0a\x01\x00\x04\x00\x04\x00", "\x30\x0c\x02\x01\x04\x73\x07\x04\x05ldap:"
	after := func(say string) healthtest.Behavior {
		return healthtest.Dialogue(step{Hear: "\x02\x01\x01\x60", Say: bound}, step{
			Hear: "\x02\x01\x04\x63\x36\x04\x11dc=example,dc=net\x0a\x01\x00\x0a\x01\x00\x02\x01\x01\x02\x01\x00\x01\x01\xff\x87\x0bobjectClass\x30\x05\x04\x031.1", Say: say,
		})
	}
	play(t, map[string]conversation{
		"there":         {c, after(entry + done), health.OK, "search: bound, the entry is there"},
		"no object":     {c, after("\x30\x0c\x02\x01\x04\x65\x07\x0a\x01\x20\x04\x00\x04\x00"), health.Fail, "search: result 32 no such object"},
		"may not see":   {c, after(done), health.Fail, `there is no entry "dc=example,dc=net" that we may see`},
		"only referred": {c, after(referral + done), health.Fail, "there is no entry"},
		"endless":       {c, after(strings.Repeat(entry, 20)), health.Fail, "no end with the search"},
		"other answer":  {c, after(bound), health.Fail, "message 1 with tag 0x61, expected 4 with 0x65"},
		"garbage":       {c, after("\x30\x02\x05\x00"), health.Fail, "is no result of LDAP"},
	})
}

func TestAJP(t *testing.T) {
	c := must(health.NewAJP(nil))
	play(t, map[string]conversation{
		"pong":      {c, healthtest.Dialogue(step{Hear: "\x12\x34\x00\x01\x0a", Say: "AB\x00\x01\x09"}), health.OK, "ping: CPong"},
		"no pong":   {c, healthtest.Dialogue(step{Hear: "\x12\x34\x00\x01\x0a", Say: "AB\x00\x02\x09"}), health.Fail, "expected a CPong"},
		"cut short": {c, healthtest.Answer("AB\x00"), health.Fail, "closed by the server after"},
	})
}

func TestAgent(t *testing.T) {
	c := must(health.NewAgent(&health.AgentConfig{Weight: 40}))
	for name, tt := range map[string]struct {
		line   string
		want   health.Verdict
		weight int // -1 is no opinion
	}{
		"weight":               {"75%\n", health.OK, 30},
		"weight and up":        {"up 50%\r\n", health.OK, 20},
		"a little is not none": {"1%\n", health.OK, 1},
		"none":                 {"0%\n", health.OK, 0},
		"more than all":        {"200%\n", health.OK, 80},
		"ready":                {"ready, maxconn:30\n", health.OK, -1},
		"drain":                {"drain 80%\n", health.OK, 0},
		"drain, then ready":    {"drain,ready\n", health.OK, -1},
		"down":                 {"down#out of memory\n", health.Fail, -1},
		"down, but ready":      {"ready stopped 10%\n", health.Fail, -1},
		"maintenance":          {"maint\n", health.Fail, -1},
		"in capitals":          {"UP\n", health.OK, -1},
		"unknown":              {"fine\n", health.Fail, -1},
		"reason only":          {"#up\n", health.Fail, -1},
		"absurd":               {"99999999999999999999%\n", health.Fail, -1},
		"without end":          {"up", health.Fail, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := healthtest.NewServer(t, healthtest.SayAndClose(tt.line))
			r := check(t, c, s.Addr(), short)
			want(t, r, tt.want, "read: ")
			if got := r.Weight; (got == nil) != (tt.weight < 0) || got != nil && *got != tt.weight {
				t.Errorf("weight %v, want %d", got, tt.weight)
			}
		})
	}
	asked := must(health.NewAgent(&health.AgentConfig{Send: "how are you\n"}))
	play(t, map[string]conversation{"asked": {asked, healthtest.Dialogue(step{Hear: "how are you\n", Say: "up\n"}), health.OK, "the agent says up"}})
}

// pgChallenges is a PostgreSQL server that has the password worked on for ever.
func pgChallenges(_ context.Context, c net.Conn) {
	buf := make([]byte, 4096)
	hear := func() string {
		n, _ := c.Read(buf)
		return string(buf[:n])
	}
	hear()
	_, _ = io.WriteString(c, "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00")
	_, nonce, _ := strings.Cut(hear(), ",r=")
	challenge := "\x00\x00\x00\x0br=" + nonce + "more,s=c2FsdA==,i=4096"
	message := append(binary.BigEndian.AppendUint32([]byte{'R'}, uint32(4+len(challenge))), challenge...)
	for range 100 {
		_, _ = c.Write(message)
		if hear() == "" {
			return
		}
	}
}
