package failover

import "time"

// SetWall replaces the node's clock of day.
func (n *Node) SetWall(now func() time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clocks.now = now
}
