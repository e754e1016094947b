import Control
import CurlClient
import Foundation
import Synchronization

/// The built-in services as their supervisor speaks with them, each at its own socket.
final class BuiltinChildren: Sendable {
    private let curl: CurlClient
    /// Under a lock: a configuration that is read again may name services anew while others ask. It
    /// is held for a look-up.
    private let sockets: Mutex<[ServiceName: ServiceClient]>
    private let scrapes = OneAtATime<ServiceName, [UInt8]?>()

    init(configuration: Configuration, curl: CurlClient) {
        self.curl = curl
        sockets = Mutex(Self.sockets(configuration, curl))
    }

    /// Takes the names of the services from a configuration that was read again.
    func update(_ configuration: Configuration) {
        let updated = Self.sockets(configuration, curl)
        sockets.withLock { $0 = updated }
    }

    private static func sockets(
        _ configuration: Configuration, _ curl: CurlClient
    ) -> [ServiceName: ServiceClient] {
        let layout = DataLayout(configuration)
        var sockets: [ServiceName: ServiceClient] = [:]
        for service in configuration.services {
            guard case .builtin(let builtin) = service.program else { continue }
            sockets[service.name] = ServiceClient(
                socketPath: layout.socket(of: builtin.rawValue), curl: curl)
        }
        return sockets
    }

    private subscript(name: ServiceName) -> ServiceClient? { sockets.withLock { $0[name] } }

    var names: [ServiceName] { sockets.withLock { $0.keys.sorted() } }

    func isReady(_ name: ServiceName) async -> Bool {
        await readiness(of: name) == .ready
    }

    /// Which process answers for a service, and whether it is ready.
    func answer(of name: ServiceName, within limit: Duration) async -> ServiceAnswer {
        guard let socket = self[name] else { return .hasNoSocket }
        do {
            guard let answer = try await socket.ask(.get, "/self", timeout: limit),
                let identity = try? answer.data(ControlServer.Identity.self)
            else { return .silent }
            return .says(pid: identity.pid, isReady: identity.ready)
        } catch {
            return error.saysNothingOfTheServer ? .unknown(error.detail) : .silent
        }
    }

    /// Whether a service should get traffic. A command of the configuration is ready when it runs.
    func readiness(of name: ServiceName) async -> ServiceReadiness {
        guard let socket = self[name] else { return .ready }
        do {
            guard let answer = try await socket.ask(.get, "/readyz", timeout: .seconds(1)) else {
                return .notReady("nothing listens at its socket")
            }
            return answer.status == 200 ? .ready : .notReady(answer.message)
        } catch {
            return error.saysNothingOfTheServer
                ? .unknown(error.detail) : .notReady("it did not answer: \(error)")
        }
    }

    /// The service's page of metrics; nil when it gives none. Whoever asks while it is being asked
    /// gets that answer too: however many scrape, a child has one of them to answer.
    func page(of name: ServiceName) async -> [UInt8]? {
        await scrapes.value(of: name) { [self] in
            let answer = await ask(name, "/metrics")
            return answer?.status == 200 ? answer?.body : nil
        }
    }

    func ask(_ name: ServiceName, _ path: String) async -> ServiceClient.Answer? {
        guard let socket = self[name] else { return nil }
        let answer = try? await socket.ask(.get, path, timeout: .seconds(2))
        return answer.flatMap { $0 }
    }
}
