" lvs.cf files. Made of the table of directives: go test ./lvscf -update
autocmd BufNewFile,BufRead lvs.cf,*.lvs.cf,*/lvs.d/*.cf,*/sysconfig/ha/*.cf setfiletype lvscf
