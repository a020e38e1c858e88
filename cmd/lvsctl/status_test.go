package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lvskit/lvskit/internal/control"
)

func TestStatusShowsHowThePartnerDiffers(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name    string
		partner control.Partner
		want    []string
	}{
		{"it does not", control.Partner{Role: "active", Alive: true, HearsUs: true}, []string{
			"partner        active",
		}},
		{"not known in what", control.Partner{Role: "active", Alive: true, HearsUs: true, ConfigDiffers: true, DifferencesUnknown: "it has not told"}, []string{
			"partner        active           ITS CONFIGURATION DIFFERS FROM OURS",
			"                                it has not told",
		}},
		{"known in what", control.Partner{
			Role: "active", Alive: true, HearsUs: true, ConfigDiffers: true, MoreDifferences: 7,
			Differences: []string{`virtual "web": server "a": weight 1 -> 5`, `virtual "mail" added`},
		}, []string{
			"partner        active           ITS CONFIGURATION DIFFERS FROM OURS",
			"               ours -> its      virtual \"web\": server \"a\": weight 1 -> 5",
			"                                virtual \"mail\" added",
			"                                and 7 more",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := &control.Status{
				Role:   control.Role{Role: "backup", Identity: "backup", Since: now.Add(-time.Minute), Reason: "the partner is active", Partner: &tt.partner},
				Config: control.Config{Source: "lvs.cf", Loaded: now},
			}
			var out strings.Builder
			if err := writeStatus(&out, st, false, now); err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(out.String()) {
				if strings.HasPrefix(line, "partner") || strings.HasPrefix(line, " ") {
					got = append(got, strings.TrimRight(line, " \n"))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s\n%s", diff, out.String())
			}
		})
	}
}
