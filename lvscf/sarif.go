package lvscf

import (
	"bufio"
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// The parts of a SARIF log that are written here. SARIF is the Static Analysis
// Results Interchange Format, an OASIS standard; the sections named are those
// of version 2.1.0.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifRule struct {
		ID                   string    `json:"id"`
		Name                 string    `json:"name"`
		ShortDescription     sarifText `json:"shortDescription"`
		FullDescription      sarifText `json:"fullDescription"`
		Help                 sarifText `json:"help"`
		DefaultConfiguration struct {
			Level string `json:"level"`
		} `json:"defaultConfiguration"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn"`
		EndColumn   int        `json:"endColumn"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		PhysicalLocation struct {
			ArtifactLocation struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region sarifRegion `json:"region"`
		} `json:"physicalLocation"`
	}
)

// sarifLevel is the level of 3.27.10 for a severity.
func sarifLevel(s Severity) string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	}
	return "note"
}

// WriteSARIF writes the diagnostics of any number of files as a SARIF 2.1.0
// log with one run, which code hosts show beside the lines in a review. The
// version is that of the program that checked, "" for none given. The rules
// are those codes of [Codes] that occur. Columns count characters there.
func (ds Diagnostics) WriteSARIF(w io.Writer, version string) error {
	log := sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0",
		Runs:    make([]sarifRun, 1),
	}
	run := &log.Runs[0]
	run.ColumnKind = "unicodeCodePoints"
	run.Results = []sarifResult{}
	run.Tool.Driver = sarifDriver{
		Name: "lvsctl check", Version: version, InformationURI: "https://github.com/lvskit/lvskit", Rules: []sarifRule{},
	}
	index := map[Code]int{}
	for _, info := range Codes() {
		if slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Code == info.Code }) {
			index[info.Code] = len(run.Tool.Driver.Rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, info.sarif())
		}
	}
	for _, d := range ds {
		i, ok := index[d.Code]
		if !ok {
			i = -1 // 3.27.6: no rule
		}
		r := sarifResult{RuleID: string(d.Code), RuleIndex: i, Level: sarifLevel(d.Severity), Locations: make([]sarifLocation, 1)}
		r.Message.Text = d.Message + ". Cure: " + d.Cure + "."
		p := &r.Locations[0].PhysicalLocation
		p.ArtifactLocation.URI = fileURI(d.File)
		p.Region = sarifRegion{StartLine: d.Line, StartColumn: d.Character, EndColumn: d.EndCharacter}
		if d.Source != "" {
			p.Region.Snippet = &sarifText{Text: d.Source}
		}
		run.Results = append(run.Results, r)
	}
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(log); err != nil {
		return err
	}
	return out.Flush()
}

// sarif is the rule of a code (3.49).
func (info CodeInfo) sarif() sarifRule {
	r := sarifRule{
		ID: string(info.Code), Name: ruleName(info.Title),
		ShortDescription: sarifText{Text: info.Title + "."},
		FullDescription:  sarifText{Text: info.Explanation},
		Help:             sarifText{Text: info.Explanation + " Cure: " + info.Cure + ".", Markdown: info.Explanation + "\n\n**Cure:** " + info.Cure + "."},
	}
	if info.Example != "" {
		r.Help.Markdown += "\n\nAn example that has it:\n\n```\n" + displayText(info.Example) + "```\n"
	}
	r.DefaultConfiguration.Level = sarifLevel(info.Severity)
	return r
}

// ruleName makes a name of a title, in the style that 3.49.7 advises.
func ruleName(title string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(title, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// displayText makes lines printable, each by itself.
func displayText(text string) string {
	var b strings.Builder
	for text != "" {
		var line string
		line, _, text = cutLine(text)
		b.WriteString(displayLine(line) + "\n")
	}
	return b.String()
}

// fileURI makes a reference of a file name: relative to where the log is read
// if the name is, as code hosts want it (3.4.3).
func fileURI(name string) string {
	if name == "" {
		name = "lvs.cf"
	}
	name = strings.TrimPrefix(filepath.ToSlash(name), "./")
	u := url.URL{Path: name}
	if strings.HasPrefix(name, "/") {
		u.Scheme = "file"
	}
	return u.String() // with ./ where a colon would make a scheme of the first part
}
