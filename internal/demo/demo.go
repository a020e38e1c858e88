package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/lvskit/lvskit/internal/control"
)

// Config tells how to give the tour.
type Config struct {
	// Out takes what is shown while the tour goes on.
	Out io.Writer
	// Live redraws the distribution in place; without it lines are written.
	Live bool
	// Hold keeps everything running after the tour until the context ends.
	Hold bool
	// Quiet shows nothing while the tour goes on.
	Quiet bool
}

// tour is the state of one run.
type tour struct {
	cfg     Config
	dir     string
	web     []server
	echo    []server
	pair    []*director
	ledger  ledger
	result  Result
	webVIP  string
	echoVIP string
}

// Run gives the tour. The error is nil when the tour could be given to its
// end; whether every expectation held is in the result.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if cfg.Quiet {
		cfg.Out = io.Discard
		cfg.Live = false
	}
	dir, err := os.MkdirTemp("", "lvskit-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t := &tour{cfg: cfg, dir: dir}
	t.result.Schema = Schema
	t.result.Started = time.Now()
	defer t.cleanup()
	if err := t.prepare(); err != nil {
		return nil, err
	}
	if err := t.give(ctx); err != nil {
		return nil, err
	}
	return &t.result, nil
}

func (t *tour) prepare() error {
	for i := 1; i <= 3; i++ {
		t.web = append(t.web, &webServer{label: fmt.Sprintf("web%d", i), at: "127.0.0.1:0"})
		t.echo = append(t.echo, &echoServer{label: fmt.Sprintf("echo%d", i), at: "127.0.0.1:0"})
	}
	for _, s := range append(append([]server{}, t.web...), t.echo...) {
		if err := s.start(); err != nil {
			return err
		}
	}
	ports, err := freePorts(6)
	if err != nil {
		return err
	}
	t.webVIP, t.echoVIP = net.JoinHostPort("127.0.0.1", ports[0]), net.JoinHostPort("127.0.0.1", ports[1])
	conf := lvsCF(ports[0], ports[1], ports[2], t.web, t.echo)
	if err := os.WriteFile(filepath.Join(t.dir, "lvs.cf"), []byte(conf), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.dir, "heartbeat.key"), []byte(rand.Text()+rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	t.say("The configuration, an ordinary lvs.cf:\n\n%s\n", indent(conf))
	beat := func(name string, a, b string) string {
		return name + "=127.0.0.1:" + a + ",127.0.0.1:" + b
	}
	t.pair = []*director{
		newDirector(t.dir, "primary", []string{beat("public", ports[2], ports[3]), beat("private", ports[4], ports[5])}),
		newDirector(t.dir, "backup", []string{beat("public", ports[3], ports[2]), beat("private", ports[5], ports[4])}),
	}
	return nil
}

func (t *tour) cleanup() {
	for _, d := range t.pair {
		d.kill()
	}
	for _, s := range append(append([]server{}, t.web...), t.echo...) {
		s.kill()
	}
}

// give walks through the scenes.
func (t *tour) give(ctx context.Context) error {
	primary, backup := t.pair[0], t.pair[1]
	t.say("Starting two directors, each a process of its own:\n")
	for _, d := range t.pair {
		t.say("  lvsctl %s\n", quoteArgs(d.args))
		if err := d.start(); err != nil {
			return err
		}
	}
	if _, err := primary.await(ctx, 10*time.Second, "the primary serves with all six servers", serving(6)); err != nil {
		return err
	}
	if _, err := backup.await(ctx, 10*time.Second, "the backup stands by", role("backup")); err != nil {
		return err
	}

	t.ledger.begin("all well", false)
	traffic, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { drive(traffic, &t.ledger, t.webVIP, t.echoVIP); close(done) }()
	defer func() { stop(); <-done }()
	screen := newScreen(t.cfg.Out, t.cfg.Live, &t.ledger)
	go screen.run(traffic)
	defer screen.stop()

	scene := func(text string, args ...any) { screen.say(fmt.Sprintf(text, args...)) }
	scene("Traffic runs through the VIPs %s (tcp, wrr 2:1:1) and %s (udp, rr).", t.webVIP, t.echoVIP)
	if err := rest(ctx, 3*time.Second); err != nil {
		return err
	}
	t.expectShares()

	victim := t.web[1]
	scene("Killing real server %s.", victim.name())
	t.ledger.begin("server killed", true)
	at := time.Now()
	victim.kill()
	st, err := primary.await(ctx, 6*time.Second, victim.name()+" leaves the pool", inPool("web", victim.name(), false))
	if err != nil {
		return err
	}
	t.result.RemoveSeconds = time.Since(at).Seconds()
	t.ledger.begin("server gone", false)
	scene("%s left the pool after %.2f s: %s", victim.name(), t.result.RemoveSeconds, why(st, "web", victim.name()))
	if err := rest(ctx, 2*time.Second); err != nil {
		return err
	}
	_, gone, _, _ := t.ledger.served()
	t.expect("a removed server gets no request", gone[victim.name()] == 0, fmt.Sprintf("%d requests", gone[victim.name()]))

	scene("Bringing %s back.", victim.name())
	// It may have its first requests before the status is seen to say so.
	t.ledger.begin("server returns", false)
	at = time.Now()
	if err := victim.start(); err != nil {
		return err
	}
	if _, err := primary.await(ctx, 6*time.Second, victim.name()+" returns to the pool", inPool("web", victim.name(), true)); err != nil {
		return err
	}
	t.result.ReturnSeconds = time.Since(at).Seconds()
	t.ledger.begin("server back", false)
	scene("%s is back in the pool after %.2f s.", victim.name(), t.result.ReturnSeconds)
	if err := rest(ctx, 2*time.Second); err != nil {
		return err
	}
	_, back, _, _ := t.ledger.served()
	t.expect("a returned server gets requests again", back[victim.name()] > 0, fmt.Sprintf("%d requests", back[victim.name()]))

	scene("Killing the active director with SIGKILL.")
	t.ledger.begin("director killed", true)
	at = time.Now()
	primary.kill()
	st, err = backup.await(ctx, (deadtime+6)*time.Second, "the backup takes over", serving(6))
	if err != nil {
		return err
	}
	t.result.TakeoverSeconds = time.Since(at).Seconds()
	t.ledger.begin("backup serves", false)
	scene("The backup took over after %.2f s (deadtime %d s): %s", t.result.TakeoverSeconds, deadtime, st.Role.Reason)
	if err := rest(ctx, 2*time.Second); err != nil {
		return err
	}
	t.expect("the backup takes over within deadtime and 2 s more", t.result.TakeoverSeconds < deadtime+2,
		fmt.Sprintf("%.2f s", t.result.TakeoverSeconds))

	scene("Starting the primary again.")
	t.ledger.begin("primary returns", false)
	if err := primary.start(); err != nil {
		return err
	}
	st, err = primary.await(ctx, 10*time.Second, "the primary stands by", role("backup"))
	if err != nil {
		return err
	}
	scene("It stays in the background: %s", st.Role.Reason)
	if err := rest(ctx, 2*time.Second); err != nil {
		return err
	}
	st, err = backup.client.Status(ctx)
	if err != nil {
		return err
	}
	t.expect("the returning primary does not disturb the service", st.Role.Role == "active", "the backup is "+st.Role.Role)

	if t.cfg.Hold {
		scene("Holding. Ask the directors from another shell:\n  lvsctl status --socket %s\n  lvsctl list   --socket %s\n  curl http://%s/\nCtrl-C ends the tour.",
			filepath.Join(t.dir, "backup.sock"), filepath.Join(t.dir, "backup.sock"), t.webVIP)
		t.ledger.begin("held", false)
		<-ctx.Done()
	}

	stop()
	<-done
	screen.stop()
	for _, d := range t.pair {
		err := d.stop()
		t.expect("director "+d.name+" ends cleanly on TERM", err == nil, fmt.Sprint("exit status: ", errText(err)))
	}
	t.conclude()
	return nil
}

// expectShares checks the distribution of the first phase against the
// weights. Two schedulers of 1,000 and more picks are never far off, however
// slow the machine is.
func (t *tour) expectShares() {
	_, served, _, _ := t.ledger.served()
	near := func(got, of int, share float64) bool {
		return of > 0 && float64(got) > share*float64(of)*0.9 && float64(got) < share*float64(of)*1.1+2
	}
	web := served["web1"] + served["web2"] + served["web3"]
	echo := served["echo1"] + served["echo2"] + served["echo3"]
	t.expect("wrr shares 2:1:1", near(served["web1"], web, 0.5) && near(served["web2"], web, 0.25) && near(served["web3"], web, 0.25),
		fmt.Sprintf("%d:%d:%d", served["web1"], served["web2"], served["web3"]))
	t.expect("rr shares 1:1:1", near(served["echo1"], echo, 1./3) && near(served["echo2"], echo, 1./3) && near(served["echo3"], echo, 1./3),
		fmt.Sprintf("%d:%d:%d", served["echo1"], served["echo2"], served["echo3"]))
}

func (t *tour) say(format string, args ...any) { fmt.Fprintf(t.cfg.Out, format, args...) }

func (t *tour) expect(what string, held bool, saw string) {
	t.result.Expectations = append(t.result.Expectations, Expectation{What: what, Held: held, Saw: saw})
}

// errInterrupted ends a tour that its guest has left.
var errInterrupted = errors.New("interrupted")

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errInterrupted
	case <-time.After(d):
		return nil
	}
}

func errText(err error) string {
	if err == nil {
		return "0"
	}
	return err.Error()
}

// serving tells that a director is active with n servers in its table.
func serving(n int) func(*control.Status) bool {
	return func(st *control.Status) bool {
		in := 0
		for _, v := range st.Services {
			for _, s := range v.Servers {
				if s.InTable {
					in++
				}
			}
		}
		return st.Role.Role == "active" && in == n && st.Dataplane.Error == ""
	}
}

func role(want string) func(*control.Status) bool {
	return func(st *control.Status) bool { return st.Role.Role == want }
}

func find(st *control.Status, service, server string) control.Server {
	for _, v := range st.Services {
		for _, s := range v.Servers {
			if v.Name == service && s.Name == server {
				return s
			}
		}
	}
	return control.Server{}
}

func inPool(service, server string, want bool) func(*control.Status) bool {
	return func(st *control.Status) bool { return find(st, service, server).InTable == want }
}

func why(st *control.Status, service, server string) string { return find(st, service, server).Reason }
