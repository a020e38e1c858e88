package examples_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// malicious answers every connection with a script.
func malicious(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "<script>alert(1)</script>\n")
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestHealthPage(t *testing.T) {
	bad, page := malicious(t), "http://"+freeAddr(t)
	good, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	list := filepath.Join(t.TempDir(), "targets.txt")
	write := func(text string) {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := "# two servers\nopen tcp " + good.Addr().String() + "\n<i>mail smtp " + bad + "\n"
	write(lines)
	cmd := exec.CommandContext(t.Context(), build(t, "health-page"), "-listen", strings.TrimPrefix(page, "http://"), "-list", list)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("it said:\n%s", &out)
		}
	}()

	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	body := func(resp *http.Response, err error) string {
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	type state struct {
		ID, State, Reason string
		Since             time.Time
		History           []struct{ Reason string }
	}
	await := func(want map[string]string) map[string]state {
		t.Helper()
		var text string
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			text = body(client.Get(page + "/states.json"))
			var all []state
			if json.Unmarshal([]byte(text), &all) != nil || len(all) != len(want) {
				continue
			}
			got := make(map[string]state)
			right := 0
			for _, s := range all {
				if got[s.ID] = s; s.State == want[s.ID] {
					right++
				}
			}
			if right == len(want) {
				return got
			}
		}
		t.Fatalf("waited in vain for %v, got %s", want, text)
		return nil
	}
	before := await(map[string]string{"open": "up", "<i>mail": "down"})
	if len(before["open"].History) == 0 || before["open"].Since.IsZero() || before["<i>mail"].Reason == "" {
		t.Errorf("states %+v", before)
	}
	html := body(client.Get(page + "/"))
	for _, want := range []string{`<td class="up">up`, `<td class="down">down`, "connect: accepted", "&lt;i&gt;mail", "&lt;script&gt;alert", "a death is noticed within"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s on the page:\n%s", want, html)
		}
	}
	if strings.Contains(html, "<script") || strings.Contains(html, "<i>") {
		t.Errorf("what a server says is a part of the page:\n%s", html)
	}

	// What is known survives a changed list; one that cannot be used changes nothing.
	write(lines + "third tcp " + good.Addr().String() + " graceful=true\n")
	if resp, err := client.Post(page+"/reload", "", nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	} else {
		resp.Body.Close()
	}
	after := await(map[string]string{"open": "up", "<i>mail": "down", "third": "up"})
	if !after["open"].Since.Equal(before["open"].Since) || !after["<i>mail"].Since.Equal(before["<i>mail"].Since) {
		t.Errorf("since %v and %v, want %v and %v", after["open"].Since, after["<i>mail"].Since, before["open"].Since, before["<i>mail"].Since)
	}
	for line, want := range map[string]string{
		"third htpp 127.0.0.1:1":                             `there is no kind of check "htpp"`,
		"third tcp 127.0.0.1:1 graceful=true graceful=false": "option graceful=",
	} {
		write(line + "\n")
		resp, err := client.Post(page+"/reload", "", nil)
		if text := body(resp, err); resp.StatusCode != http.StatusConflict || !strings.Contains(text, "targets.txt:1: ") || !strings.Contains(text, want) {
			t.Errorf("%s: %s: %s", line, resp.Status, text)
		}
	}
	await(map[string]string{"open": "up", "<i>mail": "down", "third": "up"})
}
