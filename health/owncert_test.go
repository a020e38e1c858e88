package health_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lvskit/lvskit/health"
)

// keyPair makes a certificate for itself and its key, as PEM.
func ownPair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
}

func TestOwnCertificateIsShown(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	addr := netip.MustParseAddrPort(server.Listener.Addr().String())
	cert, key := ownPair(t)
	other, _ := ownPair(t)

	with := must(health.NewHTTP(&health.HTTPConfig{TLS: &health.TLSConfig{SkipVerify: true, CertPEM: cert, KeyPEM: key}}))
	want(t, check(t, with, addr, time.Minute), health.OK, "200")
	without := must(health.NewHTTP(&health.HTTPConfig{TLS: &health.TLSConfig{SkipVerify: true}}))
	want(t, check(t, without, addr, time.Minute), health.Fail, "certificate required")
	if with.Identity() == without.Identity() {
		t.Error("the certificate makes no difference to the identity")
	}
	for name, cfg := range map[string]health.TLSConfig{
		"no key": {CertPEM: cert}, "key of another certificate": {CertPEM: other, KeyPEM: key}, "no certificate": {KeyPEM: key},
	} {
		if _, err := health.NewHTTP(&health.HTTPConfig{TLS: &cfg}); err == nil || !strings.Contains(err.Error(), "certificate and key of our own: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestIdentityHidesWhatOnlyTheServerShouldKnow(t *testing.T) {
	identity := func(h http.Header) string {
		return must(health.NewHTTP(&health.HTTPConfig{Header: h})).Identity()
	}
	for _, name := range []string{"Authorization", "cookie", "X-Api-Key", "PRIVATE-TOKEN"} {
		a, b := identity(http.Header{name: {"Basic c2VjcmV0"}}), identity(http.Header{name: {"Basic other"}})
		if strings.Contains(a, "c2VjcmV0") || a == b {
			t.Errorf("%s\n%s", a, b)
		}
	}
	first := identity(http.Header{"x-probe": {"1"}, "X-Probe": {"2"}})
	for range 50 {
		if again := identity(http.Header{"x-probe": {"1"}, "X-Probe": {"2"}}); again != first {
			t.Fatalf("two identities of one configuration:\n%s\n%s", first, again)
		}
	}
	if c := identity(http.Header{"X-Probe": {"lvs"}}); !strings.Contains(c, "lvs") {
		t.Error(c)
	}
}
