import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Somebody else who listens on a port of the loopback interface.
final class PortHolder: Sendable {
    struct InUse: Error {
        let port: Int
        let code: Int32
    }

    private let descriptor: Int32
    private let isClosed = Atomic(false)

    init(_ port: Int) throws {
        // Closed in the processes that a test starts, or they would hold the port too.
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(AF_INET, type, 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isListening = withUnsafePointer(to: &address) { [descriptor] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                    && listen(descriptor, 8) == 0
            }
        }
        guard isListening else {
            let code = errno
            Glibc.close(descriptor)
            throw InUse(port: port, code: code)
        }
    }

    func close() {
        guard !isClosed.exchange(true, ordering: .relaxed) else { return }
        Glibc.close(descriptor)
    }

    static func isFree(_ port: Int) -> Bool {
        guard let holder = try? PortHolder(port) else { return false }
        holder.close()
        return true
    }
}
