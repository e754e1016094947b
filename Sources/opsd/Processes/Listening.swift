import Foundation
import NIOCore
import ServiceLifecycle

extension ServiceGroup {
    /// Runs the services; an address that somebody else listens on is named as the configuration
    /// names it.
    func run(listeningAt address: String, of key: String) async throws {
        do {
            try await run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw CommandFailure(
                .refused,
                "\(key): \(address) is in use by another program; stop that one, or write another "
                    + "address")
        } catch let error as IOError {
            throw CommandFailure(.unknown, "\(key): \(address): \(error)")
        }
    }
}
