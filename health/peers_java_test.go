//go:build linux && peers

package health_test

import (
	"fmt"
	"testing"

	"github.com/lvskit/lvskit/health"
)

func TestPeersAJP(t *testing.T) {
	t.Parallel()
	addr, dir := freePort(t), openDir(t)
	web := beside(t, addr)
	files(t, dir, map[string]string{
		"webapps/empty": "", "work/empty": "", "logs/empty": "",
		"conf/server.xml": fmt.Sprintf(`<Server port="-1">
  <Service name="peers">
    <Connector protocol="AJP/1.3" address="%[1]v" port="%[2]d" secret="not for a ping" maxThreads="4"/>
    <Connector protocol="HTTP/1.1" address="%[1]v" port="%[3]d" maxThreads="4"/>
    <Engine name="peers" defaultHost="localhost"><Host name="localhost" appBase="webapps" autoDeploy="false" deployOnStartup="false"/></Engine>
  </Service>
</Server>
`, addr.Addr(), addr.Port(), web.Port()),
	})
	const home = "/usr/share/tomcat10"
	c := must(health.NewAJP(nil))
	d := peer(t, c, addr, dir, "java", "-cp", home+"/bin/bootstrap.jar:"+home+"/bin/tomcat-juli.jar",
		"-Dcatalina.home="+home, "-Dcatalina.base="+dir, "-Djava.io.tmpdir="+dir, "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData",
		"org.apache.catalina.startup.Bootstrap", "start")
	want(t, check(t, c, addr, short), health.OK, "ping: CPong", "connect", "ping")
	want(t, check(t, c, web, short), health.Fail, `ping: answer "HTTP/", expected a CPong`)
	want(t, check(t, must(health.NewHTTP(nil)), web, short), health.Fail, "read: status 404")
	want(t, check(t, must(health.NewHTTP(nil)), addr, short), health.Fail, "read: closed by the server before the answer was complete")
	d.ends(t, c, addr, "ping", "connect")
}
