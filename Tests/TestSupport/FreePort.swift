import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A TCP port of the loopback interface that nothing listened on a moment ago.
public func freePort() throws -> Int {
    while true {
        let port = try unusedPort()
        if given.withLock({ $0.insert(port).inserted }) { return port }
    }
}

/// A port may be free still when the next is asked for. The lock is between the tests of this process.
private let given = Mutex<Set<Int>>([])

private func unusedPort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw FreePortError(step: "socket", code: errno) }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            bind(descriptor, generic, length) == 0
                && getsockname(descriptor, generic, &length) == 0
        }
    }
    guard bound else { throw FreePortError(step: "bind", code: errno) }
    return Int(UInt16(bigEndian: address.sin_port))
}

public struct FreePortError: Error {
    public let step: String
    public let code: Int32
}
