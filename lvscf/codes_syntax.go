package lvscf

import "strings"

// What can be wrong with the bytes, lines and blocks of a file.
const (
	codeEmpty        Code = "LVS001"
	codeTooLarge     Code = "LVS002"
	codeTooManyLines Code = "LVS003"
	codeNotText      Code = "LVS004"
	codeComment8Bit  Code = "LVS005"
	codeBOM          Code = "LVS006"
	codeLineEnds     Code = "LVS007"
	codeTooDeep      Code = "LVS008"
	codeMore         Code = "LVS009"
	codeQuoteOpen    Code = "LVS010"
	codeQuoteAfter   Code = "LVS011"
	codeTrailing     Code = "LVS012"
	codeGluedSign    Code = "LVS013"
	codeGluedBrace   Code = "LVS014"
	codeBlockFrame   Code = "LVS015"
	codeBlockWords   Code = "LVS016"
	codeBraceNext    Code = "LVS017"
	codeOneLine      Code = "LVS018"
	codeBraceAlone   Code = "LVS019"
	codeNoSuchBlock  Code = "LVS020"
	codeBlockInBlock Code = "LVS021"
	codeServerAlone  Code = "LVS022"
	codeManyBraces   Code = "LVS023"
	codeAfterBrace   Code = "LVS024"
	codeStrayBrace   Code = "LVS025"
	codeBraceAtEnd   Code = "LVS026"
	codeUnclosed     Code = "LVS027"
	codeOutside      Code = "LVS028"
	codeGlobalInside Code = "LVS029"
	codeUnknown      Code = "LVS030"
	codeWrongBlock   Code = "LVS031"
	codeNoSign       Code = "LVS032"
	codeNoValue      Code = "LVS033"
	codeNoDevice     Code = "LVS034"
	codeTooManyWords Code = "LVS035"
	codeCase         Code = "LVS036"
	codeForeign      Code = "LVS037"
	codeList         Code = "LVS038"
	codeExtension    Code = "LVS039"
	codeRepeat       Code = "LVS040"
	codeCurlyQuotes  Code = "LVS041"
	codeTemplate     Code = "LVS042"
	codeWrapped      Code = "LVS043"
	codeOddBlank     Code = "LVS044"
	codePasted       Code = "LVS045"
	codeIdleServer   Code = "LVS046"
	codeIdleCommand  Code = "LVS047"
	codeOtherProgram Code = "LVS048"
	codeOnlyCR       Code = "LVS049"
)

func syntaxCodes() []CodeInfo {
	return []CodeInfo{
		failure(
			codeEmpty, "the file says nothing",
			"A file of no bytes, or of nothing but blank lines and comments, is likely one that was cut or never written. The daemons refuse it, so that a full disk does not become an empty load balancer.",
			"# nothing here yet\n", "write at least one virtual block, or restore the file from a copy",
		),
		failure(
			codeTooLarge, "the file is too large",
			"Files beyond 16 MiB are not read: no configuration is that large, and a daemon must not be made to hold one.",
			"", "check that this is the right file; remove what is not configuration",
		),
		failure(
			codeTooManyLines, "the file has too many lines",
			"Reading ends after 500,000 lines.",
			"", "split the file or remove what is not configuration",
		),
		failure(
			codeNotText, "the file is not text",
			"A zero byte, or a byte that is not UTF-8 outside of a comment, shows a program, an archive or a text in an encoding that would be read wrongly.",
			"primary = 192.0.2.1\x00\n", "give the name of an lvs.cf, saved as plain UTF-8 text",
		),
		doubt(
			codeComment8Bit, "a comment is not UTF-8",
			"Comments are never read, so the configuration is not affected; but other tools may refuse to show the file.",
			"# caf\xe9\n"+exampleService(), "save the file as UTF-8",
		),
		leniency(
			codeBOM, "the file starts with a byte order mark",
			"Some editors write three unseen bytes at the start of a file. Piranha takes them as part of the first word and refuses the file.",
			"\ufeff"+exampleService(), "save the file as UTF-8 without byte order mark",
		),
		row(
			Hint, Error, codeLineEnds, "lines end in CR",
			"Piranha's parser looks for the next CR, wherever it is, and for LF only where no CR is left. Of a file with CR LF it loses every line after the first, and one stray CR makes a single line of all before it. Such files are read well here, line by line.",
			"serial_no = 1\r\nnetwork = direct\r\n"+exampleVirtual(), "save the file with LF line ends, as dos2unix does",
		),
		failure(
			codeTooDeep, "blocks nest too deep",
			"The language has servers within services and no more. Reading ends at eight levels.",
			"a {\nb {\nc {\nd {\ne {\nf {\ng {\nh {\ni {\n", "close blocks with } on a line of its own",
		),
		failure(
			codeMore, "there is more than is shown",
			"At most 100 errors, 100 warnings and 100 hints are told one by one.",
			"", "mend the ones above, then check again",
		),
		failure(
			codeQuoteOpen, "a quoted text has no end",
			"A text that starts with a quote runs to its partner on the same line. There is no escape for a quote within it, and no way to go on on the next line.",
			exampleService(`expect = "HTTP`), "end the text with the quote that starts it",
		),
		leniency(
			codeQuoteAfter, "something follows a quoted text",
			"Piranha lets nothing follow a quoted text without blanks, not even a blank. In the default dialect blanks are allowed there; anything else is an error in both.",
			exampleService(`expect = "OK" `), "end the line with the closing quote",
		),
		leniency(
			codeTrailing, "a comment follows a directive",
			"Comments of the language are whole lines. Many published files have them behind values all the same; Piranha refuses such a line, and a single # after a value may be a part of it.",
			exampleService("port = 80 # web"), "move the comment to a line of its own, above this one",
		),
		leniency(
			codeGluedSign, "blanks are missing around =",
			"Piranha splits words at blanks only: key=value is one word, which it does not know.",
			exampleService("port=80"), "put a blank on both sides of the sign",
		),
		leniency(
			codeGluedBrace, "a blank is missing before {",
			"Piranha takes a brace without a blank before it as part of the name.",
			"network = direct\nvirtual web{\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n}\n",
			"write a blank before {",
		),
		failure(
			codeBlockFrame, "an opening line lacks its name or brace",
			"A block is opened by a word, a name and a brace on one line.",
			"virtual {\n}\n", `write "virtual NAME {", "failover NAME {" or "server NAME {"`,
		),
		failure(
			codeBlockWords, "an opening line has too many words",
			"A name is one word, and nothing follows the brace.",
			"virtual my web {\n}\n", "join the parts of the name with _, and put what follows the brace on a line of its own",
		),
		leniency(
			codeBraceNext, "the brace stands on the next line",
			"Piranha wants { on the line of the name.",
			"network = direct\nvirtual web\n{\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tserver one {\n\t\taddress = 192.0.2.21\n\t\tactive = 1\n\t}\n}\n",
			"move { to the end of the line above, after a blank",
		),
		failure(
			codeOneLine, "a block is written on one line",
			"Each directive and each closing brace stands on a line of its own.",
			"virtual web {\n\tserver one { address = 192.0.2.21 }\n}\n", "write one line for each directive and brace",
		),
		failure(
			codeBraceAlone, "a brace opens nothing",
			"A { must stand on the line that opens a block.",
			"{\n}\n", "put { on the line that opens the block, after its name and a blank",
		),
		failure(
			codeNoSuchBlock, "a block of an unknown kind",
			"The language has virtual, failover and server blocks only.",
			"cluster web {\n}\n", `blocks are "virtual NAME {", "failover NAME {" and, within them, "server NAME {"`,
		),
		failure(
			codeBlockInBlock, "a block within a block of its kind",
			"Only server blocks stand within others. Most often a closing brace is missing above.",
			"virtual a {\nvirtual b {\n}\n}\n", "close the outer block first, with } on a line of its own",
		),
		failure(
			codeServerAlone, "a server block outside of a virtual block",
			"A real server belongs to one service. Most often there is a closing brace too many above.",
			"server one {\n}\n", "move the server block into its virtual block, before the last }",
		),
		failure(
			codeManyBraces, "more than one } on a line",
			"Each closing brace stands on a line of its own.",
			"virtual web {\n\tserver one {\n}}\n", "put each } on a line of its own",
		),
		failure(
			codeAfterBrace, "something follows }",
			"A closing brace stands alone on its line.",
			"virtual web {\n} port = 80\n", "put what follows on the next line",
		),
		failure(
			codeStrayBrace, "a brace closes nothing",
			"There is a } more than blocks were opened.",
			exampleService()+"}\n", "remove this line, or the } too many above it",
		),
		failure(
			codeBraceAtEnd, "a } follows a directive",
			"A closing brace stands alone on its line.",
			"virtual web {\n\tport = 80 }\n", "put } on a line of its own",
		),
		failure(
			codeUnclosed, "the file ends within a block",
			"Either a closing brace is missing or the file is cut. Piranha takes half a file without a word; here it is refused.",
			"virtual web {\n\tport = 80\n", "close each block with } on a line of its own; if the end is lost, restore the file from a copy",
		),
		failure(
			codeOutside, "a directive outside of its block",
			"The directive belongs in a virtual block and none is open. Most often there is a closing brace too many above.",
			"scheduler = wlc\n", "move the line into its block",
		),
		failure(
			codeGlobalInside, "a global directive within a block",
			"The directive belongs in the global section. Most often a closing brace is missing above.",
			"virtual web {\n\tkeepalive = 6\n}\n", "move the line out of the block, or close the block above it",
		),
		failure(
			codeUnknown, "an unknown directive",
			"A word that is not of the language is refused, so that a slip of the pen is not a setting lost in silence.",
			exampleService("adress = 192.0.2.10 eth0:1"), "mend the spelling or remove the line",
		),
		failure(
			codeWrongBlock, "a directive in the wrong block",
			"The language has the directive, but not in this kind of block.",
			exampleService("weight = 2"), "move the line to where it belongs",
		),
		failure(
			codeNoSign, "the sign = is missing",
			"A directive is a name, the sign = and a value, with blanks between them.",
			exampleService("port 80"), "write NAME = VALUE",
		),
		failure(
			codeNoValue, "a value is missing",
			"Nothing follows the sign. A directive that is not wanted is left out; an empty text is written \"\".",
			exampleService("port ="), "write a value or remove the line",
		),
		failure(
			codeNoDevice, "the device is missing",
			"An address that a router brings up has two parts: the address and the alias device that carries it.",
			exampleService("address = 192.0.2.10"), `write the device too, as in "address = 192.0.2.10 eth0:1"`,
		),
		failure(
			codeTooManyWords, "too many words after the sign",
			"Most directives take one word. A text with blanks needs quotes.",
			exampleService("expect = HTTP/1.0 200"), `put a value with blanks in quotes: "..."`,
		),
		leniency(
			codeCase, "a word in the wrong case",
			"The language tells upper from lower case; its own words are all lower case.",
			exampleService("scheduler = WLC"), "write the word in lower case",
		),
		leniency(
			codeForeign, "a directive that no daemon reads",
			"Piranha's web tool writes a few lines, and its manual names a few, that its own daemons refuse. They have no effect here.",
			exampleService(`expect_program = "/bin/true"`), "remove the line",
		),
		failure(
			codeList, "a list is not well formed",
			"A list is written between brackets that are words of their own: [ one two ].",
			exampleService("dirs = /var/www"), `write for example "dirs = [ /var/www /etc/httpd ]"`,
		),
		failure(
			codeExtension, "a directive or value that Piranha does not have",
			"Directives, blocks and values of lvskit's own, such as IPv6 addresses, are refused in the strict dialect: Piranha does not have them.",
			"network = direct\nvirtual web {\n\taddress = 2001:db8::10 eth0:1\n}\n", "remove the line, or read the file without the strict dialect if it is for lvskit alone",
		),
		doubt(
			codeRepeat, "a directive stands twice",
			"The last of several lines for one directive counts, which is easily overlooked.",
			exampleService("port = 80", "port = 8080"), "remove one of the two lines",
		),
		doubt(
			codeCurlyQuotes, "typographic quotes",
			"Only \" and ' are quotes. The curly ones that word processors and web pages make become a part of the text.",
			exampleService("expect = “OK”"), `write plain quotes: "..."`,
		),
		failure(
			codeTemplate, "a placeholder is left",
			"The file was made from a template and a part of it was not filled in.",
			exampleService("port = {{port}}"), "write the value in place of the placeholder",
		),
		failure(
			codeWrapped, "a line is broken in two",
			"A directive is one line. There is no sign to go on on the next one; web pages and mail break long lines.",
			exampleService(`send = "GET / HTTP/1.0`, `Host: www\r\n\r\n"`), `join the lines; a line feed within a text is written \n`,
		),
		failure(
			codeOddBlank, "a blank that is none",
			"Only the blank and the tab separate words. Text copied from a web page may have others, such as the no-break space, that look the same.",
			exampleService("port\u00a0=\u00a080"), "write plain blanks in their place",
		),
		failure(
			codePasted, "a leftover of copying",
			"The line looks like something that was copied with the file: a prompt, a line number, a mark of a patch.",
			"[root@lb1 ~]# cat /etc/sysconfig/ha/lvs.cf\n"+exampleService(), "remove what is no part of the file",
		),
		doubt(
			codeIdleServer, "a server block in a failover block",
			"Failover services have no real servers; the block has no effect.",
			"service = fos\nfailover web {\n\tactive = 1\n\taddress = 192.0.2.10 eth0:1\n\tstart_cmd = \"/etc/init.d/httpd start\"\n\tstop_cmd = \"/etc/init.d/httpd stop\"\n\tserver one {\n\t\taddress = 192.0.2.21\n\t}\n}\n",
			"remove the block, or make the outer one a virtual block",
		),
		advice(
			codeIdleCommand, "a directive without effect in its block",
			"start_cmd and stop_cmd belong to failover services; a virtual service does not run them.",
			exampleService(`start_cmd = "/etc/init.d/httpd start"`), "remove the line, or make the block a failover block",
		),
		failure(
			codeOtherProgram, "the file of another program",
			"The line is of the language of keepalived or ldirectord, which cannot be read as an lvs.cf.",
			"virtual_server 192.0.2.10 80 {\n}\n", "convert the file: lvsctl convert",
		),
		advice(
			codeOnlyCR, "all lines end in CR alone",
			"Piranha's parser takes CR for a line end as long as there is one, so that it reads such a file. Most editors and tools show it as one line.",
			"serial_no = 1\rnetwork = direct\r"+strings.ReplaceAll(exampleVirtual(), "\n", "\r"), "save the file with LF line ends",
		),
	}
}
