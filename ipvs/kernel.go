package ipvs

// The kernel's numbers. Unless a line says otherwise they are from
// include/uapi/linux/ip_vs.h and as old as the generic netlink interface of
// IPVS (Linux 2.6.28).

const (
	familyName    = "IPVS"
	familyVersion = 1
)

// Commands.
const (
	cmdNewService = 1
	cmdSetService = 2
	cmdDelService = 3
	cmdGetService = 4
	cmdNewDest    = 5
	cmdSetDest    = 6
	cmdDelDest    = 7
	cmdGetDest    = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11
	cmdSetConfig  = 12
	cmdGetConfig  = 13
	cmdSetInfo    = 14
	cmdGetInfo    = 15
	cmdZero       = 16
	cmdFlush      = 17
)

// Attributes of a command.
const (
	attrService       = 1
	attrDest          = 2
	attrDaemon        = 3
	attrTimeoutTCP    = 4
	attrTimeoutTCPFin = 5
	attrTimeoutUDP    = 6
)

// Attributes of the answer to cmdGetInfo.
const (
	infoVersion       = 1
	infoConnTableSize = 2
)

// Attributes of a service.
const (
	svcFamily    = 1
	svcProtocol  = 2
	svcAddr      = 3
	svcPort      = 4
	svcMark      = 5
	svcScheduler = 6
	svcFlags     = 7
	svcTimeout   = 8
	svcNetmask   = 9
	svcStats     = 10
	svcEngine    = 11
	svcStats64   = 12 // 4.1
)

// Flags of a service that callers do not set.
const (
	flagPersistent ServiceFlags = 0x1
	flagHashed     ServiceFlags = 0x2
)

// Attributes of a destination.
const (
	dstAddr       = 1
	dstPort       = 2
	dstForward    = 3
	dstWeight     = 4
	dstUpper      = 5
	dstLower      = 6
	dstActive     = 7
	dstInactive   = 8
	dstPersistent = 9
	dstStats      = 10
	dstFamily     = 11 // 3.18
	dstStats64    = 12 // 4.1
	dstTunType    = 13 // 5.2
	dstTunPort    = 14 // 5.2
	dstTunFlags   = 15 // 5.3
)

// Attributes of a sync daemon.
const (
	dmnState     = 1
	dmnInterface = 2
	dmnSyncID    = 3
	dmnMaxLength = 4 // 4.3, and the ones below
	dmnGroup     = 5
	dmnGroup6    = 6
	dmnPort      = 7 // in machine order
	dmnTTL       = 8
)

// Attributes of the counters.
const (
	statConns    = 1
	statInPkts   = 2
	statOutPkts  = 3
	statInBytes  = 4
	statOutBytes = 5
	statCPS      = 6
	statInPPS    = 7
	statOutPPS   = 8
	statInBPS    = 9
	statOutBPS   = 10
)

// Address families of Linux; those of other systems differ.
const (
	afInet  = 2
	afInet6 = 10
)

// Netlink (include/uapi/linux/netlink.h).
const (
	nlHeaderLen   = 16
	genlHeaderLen = 4

	nlError   = 2
	nlDone    = 3
	nlOverrun = 4

	nlRequest = 0x1
	nlAck     = 0x4
	nlDump    = 0x300

	nlaTypeMask = 0x3fff // without the nested and byte order bits
	nlaNested   = 0x8000
)

// Generic netlink's controller (include/uapi/linux/genetlink.h).
const (
	ctrlFamily        = 16
	ctrlVersion       = 1
	ctrlGetFamily     = 3
	ctrlAttrFamilyID  = 1
	ctrlAttrFamilyNam = 2
)
