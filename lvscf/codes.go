package lvscf

import (
	"slices"
	"strings"
	"sync"
)

// Code names one kind of fault or doubt, as in "LVS012". A code keeps its
// meaning for ever: none is used again for another kind.
type Code string

// CodeInfo explains one [Code].
type CodeInfo struct {
	Code Code `json:"code"`
	// Severity is that of the default dialect; a few findings of the kind may
	// be milder or graver where the rest of the file makes them so.
	Severity Severity `json:"severity"`
	// Strict is the severity in the [Strict] dialect.
	Strict Severity `json:"strict_severity"`
	// Title says in a few words what was found.
	Title string `json:"title"`
	// Explanation says why that matters.
	Explanation string `json:"explanation"`
	// Example is a file, or a part of one, that has the fault. It is empty
	// where no short text can show it.
	Example string `json:"example,omitempty"`
	// Cure says how to mend it.
	Cure string `json:"cure"`
}

// codeTable makes the table when it is first asked for: programs that find no
// fault never need it.
var codeTable = sync.OnceValue(func() []CodeInfo {
	return slices.Concat(syntaxCodes(), valueCodes(), routerCodes(), serviceCodes(), extensionCodes())
})

// severityTable is the column of severities for each dialect.
var severityTable = sync.OnceValue(func() map[Code][2]Severity {
	severities := map[Code][2]Severity{}
	for _, info := range codeTable() {
		severities[info.Code] = [2]Severity{Lenient: info.Severity, Strict: info.Strict}
	}
	return severities
})

// Codes returns a new list of all codes in their order.
func Codes() []CodeInfo { return slices.Clone(codeTable()) }

// Explain returns what there is to know of a code. Letters of either case and
// the number alone ("42") are understood; ok is false for an unknown code.
func Explain(code string) (info CodeInfo, ok bool) {
	digits := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(code)), "LVS")
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return CodeInfo{}, false
	}
	want := Code("LVS" + strings.Repeat("0", max(0, 3-len(digits))) + digits)
	for _, info := range codeTable() {
		if info.Code == want {
			return info, true
		}
	}
	return CodeInfo{}, false
}

// The rows of the tables, by severity.
func row(sev, strict Severity, code Code, title, explanation, example, cure string) CodeInfo {
	return CodeInfo{code, sev, strict, title, explanation, example, cure}
}

// failure is an error in both dialects.
func failure(code Code, title, explanation, example, cure string) CodeInfo {
	return row(Error, Error, code, title, explanation, example, cure)
}

// leniency is accepted with a warning, and an error in the strict dialect.
func leniency(code Code, title, explanation, example, cure string) CodeInfo {
	return row(Warning, Error, code, title, explanation, example, cure)
}

func doubt(code Code, title, explanation, example, cure string) CodeInfo {
	return row(Warning, Warning, code, title, explanation, example, cure)
}

func advice(code Code, title, explanation, example, cure string) CodeInfo {
	return row(Hint, Hint, code, title, explanation, example, cure)
}

// The frames of the examples.

// exampleGlobal puts lines before a service without faults.
func exampleGlobal(lines ...string) string {
	text := ""
	for _, l := range lines {
		text += l + "\n"
	}
	if !strings.Contains(text, "network =") {
		text += "network = direct\n"
	}
	return text + exampleVirtual()
}

// exampleVirtual is a service without faults, with more lines in it.
func exampleVirtual(lines ...string) string {
	text := "virtual web {\n\tactive = 1\n"
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "address") }) {
		text += "\taddress = 192.0.2.10 eth0:1\n"
	}
	for _, l := range lines {
		text += "\t" + l + "\n"
	}
	return text + "\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n}\n"
}

// exampleService is a file with one service, with more lines in it.
func exampleService(lines ...string) string {
	return "network = direct\n" + exampleVirtual(lines...)
}

// exampleServer is a file with one service and one server of the given lines.
func exampleServer(lines ...string) string {
	text := "network = direct\nvirtual web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tserver one {\n\t\tactive = 1\n"
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "address") }) {
		text += "\t\taddress = 192.0.2.21\n"
	}
	for _, l := range lines {
		text += "\t\t" + l + "\n"
	}
	return text + "\t}\n}\n"
}
