import Control
import CurlClient
import Foundation

/// The built-in services as their supervisor speaks with them, each at its own socket.
struct BuiltinChildren: Sendable {
    private let sockets: [ServiceName: ServiceClient]

    init(configuration: Configuration, curl: CurlClient) {
        let layout = DataLayout(configuration)
        var sockets: [ServiceName: ServiceClient] = [:]
        for service in configuration.services {
            guard case .builtin(let builtin) = service.program else { continue }
            sockets[service.name] = ServiceClient(
                socketPath: layout.socket(of: builtin.rawValue), curl: curl)
        }
        self.sockets = sockets
    }

    var names: [ServiceName] { sockets.keys.sorted() }

    func isReady(_ name: ServiceName) async -> Bool {
        await reasonNotReady(name) == nil
    }

    /// Why a service should get no traffic. A command of the configuration is ready when it runs.
    func reasonNotReady(_ name: ServiceName) async -> String? {
        guard let socket = sockets[name] else { return nil }
        do {
            guard let answer = try await socket.ask(.get, "/readyz", timeout: .seconds(1)) else {
                return "nothing listens at its socket"
            }
            return answer.status == 200 ? nil : answer.message
        } catch {
            return "it did not answer: \(error)"
        }
    }

    /// The metrics of every child that answers; a child that does not is absent.
    func metrics() async -> [[UInt8]] {
        await withTaskGroup(of: [UInt8]?.self) { group in
            for socket in sockets.values {
                group.addTask {
                    let answer = try? await socket.ask(
                        .get, "/metrics", timeout: .seconds(5))
                    guard let answer, answer.status == 200 else { return nil }
                    return answer.body
                }
            }
            var texts: [[UInt8]] = []
            for await text in group { if let text { texts.append(text) } }
            return texts
        }
    }

    func ask(_ name: ServiceName, _ path: String) async -> ServiceClient.Answer? {
        guard let socket = sockets[name] else { return nil }
        let answer = try? await socket.ask(.get, path, timeout: .seconds(2))
        return answer.flatMap { $0 }
    }
}
