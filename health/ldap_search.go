package health

// Tags of the answers to a search (RFC 4511, section 4.5.2).
const (
	ldapSearchEntry     = 0x64
	ldapSearchDone      = 0x65
	ldapSearchReference = 0x73
)

// ldapSearchRequest asks for one object by its name, and for none of its
// attributes (RFC 4511, section 4.5.1).
func ldapSearchRequest(base string) string {
	const (
		onlyTheBase = "\x0a\x01\x00"
		noAliases   = "\x0a\x01\x00"
		oneEntry    = "\x02\x01\x01"
		anyTime     = "\x02\x01\x00"
		typesOnly   = "\x01\x01\xff"
	)
	return ber(0x63, ber(0x04, base)+onlyTheBase+noAliases+oneEntry+anyTime+typesOnly+ber(0x87, "objectClass")+ber(0x30, ber(0x04, "1.1")))
}

// ldapSearch wants an object to be there.
func (s *session) ldapSearch(base string) error {
	const id = 4
	s.step("search")
	if err := s.write(ber(0x30, ber(0x02, string([]byte{id}))+ldapSearchRequest(base))); err != nil {
		return err
	}
	found := false
	for range 10 { // an entry, or references, and the end
		body, err := s.ldapMessage()
		if err != nil {
			return err
		}
		switch ldapOperation(body) {
		case ldapSearchEntry:
			found = true
		case ldapSearchReference:
		default:
			if err := ldapWants(body, id, ldapSearchDone); err != nil {
				return err
			}
			if !found {
				return unwanted("there is no entry %s that we may see", clip([]byte(base)))
			}
			return nil
		}
	}
	return unwanted("the server comes to no end with the search")
}

// ldapOperation is the tag of a message's operation, 0 if it has none.
func ldapOperation(body []byte) byte {
	tag, _, rest, ok := cutBER(body)
	if !ok || tag != 0x02 || len(rest) == 0 {
		return 0
	}
	return rest[0]
}
