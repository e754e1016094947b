import Foundation
import NIOCore
import ServiceLifecycle
import StrictYAML

/// An address that a process is to listen at, with the configuration's name of it.
struct ListeningAddress {
    let key: String
    let host: String
    let port: Int

    /// Refuses an address that somebody else listens at, before anything else is started: a service
    /// that fails among others takes them down in the middle of their own start.
    func requireFree() throws(CommandFailure) {
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        } catch {
            throw CommandFailure(.badInput, "\(key): '\(host)' is no address of this machine")
        }
        let descriptor = socket(Int32(address.protocol.rawValue), Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let code = address.withSockAddr { pointer, size in
            bind(descriptor, pointer, socklen_t(size)) == 0 ? 0 : errno
        }
        if let failure = failure(code) { throw failure }
    }

    /// What an error of bind(2) says to a person; nil for what the server itself will say.
    private func failure(_ code: Int32) -> CommandFailure? {
        switch code {
        case EADDRINUSE:
            CommandFailure(
                .refused,
                "\(key): \(host):\(port) is in use by another program; stop that one, or write "
                    + "another address")
        case EADDRNOTAVAIL, EACCES:
            CommandFailure(
                .badInput, "\(key): \(host):\(port): \(String(cString: strerror(code)))")
        default: nil
        }
    }

    /// Runs the services, of which one listens here.
    func run(_ group: ServiceGroup) async throws {
        do {
            try await group.run()
        } catch let error as IOError {
            throw failure(error.errnoCode)
                ?? CommandFailure(.unknown, "\(key): \(host):\(port): \(error)")
        }
    }
}

extension HostPort {
    func listening(as key: String) -> ListeningAddress {
        ListeningAddress(key: key, host: host, port: port)
    }
}
