package failover

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// What stands in a log: a channel is not called a device nor the other way
// round, and that a document came is for those who look for faults.
func TestEventsInTheLog(t *testing.T) {
	for name, tt := range map[string]struct {
		event Event
		want  string
	}{
		"claim": {
			Event{Kind: EventClaimed, Channel: "eth0", Address: netip.MustParseAddr("192.0.2.100"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}},
			"level=WARN msg=\"failover: address-claimed\" address=192.0.2.100 device=eth0 mac=02:00:00:00:00:09\n",
		},
		"channel": {
			Event{Kind: EventChannelLost, Channel: "public", Reason: "why"},
			"level=WARN msg=\"failover: channel-lost\" channel=public reason=why\n",
		},
		"document":        {Event{Kind: EventDocument}, "level=DEBUG msg=\"failover: partner-document\"\n"},
		"broken document": {Event{Kind: EventDocument, Err: errors.New("why")}, "level=INFO msg=\"failover: partner-document\" error=why\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			q := &eventQueue{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			q.tell(tt.event)
			if _, got, _ := strings.Cut(out.String(), " "); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
