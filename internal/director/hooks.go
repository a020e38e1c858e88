package director

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/lvskit/lvskit/failover"
)

// The kinds of things that change, and the states of routers, in the words that
// keepalived has for them, so that programs written for it understand both.
const (
	kindRouter  = "INSTANCE"
	kindService = "VS"
	kindServer  = "RS"

	// heartbeatName stands for the node of a pair, which has no name.
	heartbeatName = "pulse"
)

// roleWord is the word for a role, empty for one that nobody is told.
func roleWord(r failover.Role) string {
	switch r {
	case failover.RoleActive:
		return "MASTER"
	case failover.RoleBackup:
		return "BACKUP"
	case failover.RoleFault:
		return "FAULT"
	case failover.RoleLeaving:
		return "STOP"
	}
	return "" // not decided yet
}

// adopt takes what is to be told to whom.
func (c *commands) adopt(s *Setup) {
	c.setup = s
	c.pipe.open(s.FIFO)
}

// becomes tells of the role of a router, whose name is empty with heartbeats.
func (c *commands) becomes(router string, r failover.Role, priority uint8) {
	state := roleWord(r)
	if was, told := c.roles[router]; state == "" || told && was == r {
		return
	}
	c.roles[router] = r
	c.whole()
	name := cmp.Or(router, heartbeatName)
	about := subject{router: name}
	s := c.setup.router(router)
	if s == nil {
		s = c.gone[router]
	}
	if s != nil {
		command := map[failover.Role]string{
			failover.RoleActive: s.Hooks.Master, failover.RoleBackup: s.Hooks.Backup, failover.RoleFault: s.Hooks.Fault,
		}[r]
		c.queue(job{subject: about, state: state, command: words(command, kindRouter, name, state, priority)})
		if s.Hooks.Notify != "" {
			told := about
			told.server = "block"
			told.notify = true
			c.queue(job{subject: told, state: state, command: words(s.Hooks.Notify, kindRouter, name, state, priority)})
		}
	}
	c.notify(about, kindRouter, name, state, priority)
}

// whole runs what is to be run when the director as a whole begins to serve, by
// any of its routers, and when it ends to. It is inactive when all have decided
// to be so.
func (c *commands) whole() {
	active := false
	for _, r := range c.roles {
		active = active || r == failover.RoleActive
	}
	if c.decided && active == c.active {
		return
	}
	if !active && !c.decided && len(c.roles) < len(c.setup.Routers) {
		return
	}
	c.active, c.decided = active, true
	j := job{state: "inactive", command: c.setup.Inactive}
	if active {
		j = job{state: "active", command: c.setup.Active}
	}
	c.queue(j)
}

// notify tells of a change those who are told of each.
func (c *commands) notify(about subject, kind, name, state string, priority uint8) {
	if c.setup.Notify != "" {
		about.notify = true
		c.queue(job{subject: about, state: state, command: words(c.setup.Notify, kind, name, state, priority)})
	}
	line := fmt.Sprintf("%s %q %s", kind, name, state)
	if kind == kindRouter {
		line += fmt.Sprintf(" %d", priority)
	}
	c.pipe.write(line + "\n")
}

// words puts the facts of a change into a command. A name is one word.
func words(command, kind, name, state string, priority uint8) string {
	list := strings.Fields(command)
	for i, w := range list {
		switch w {
		case "%k":
			list[i] = kind
		case "%n":
			list[i] = strings.Join(strings.Fields(name), "_")
		case "%s":
			list[i] = state
		case "%p":
			list[i] = fmt.Sprint(priority)
		}
	}
	return strings.Join(list, " ")
}
