import Control
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import TradingHTTP

/// The Unix socket at which a built-in service answers its supervisor and the commands. Only the
/// owner of the data directory can reach it, so it asks for no token.
struct ControlServer {
    /// Why the service should get no traffic; nil when it should.
    typealias Readiness = @Sendable () async -> String?

    /// What `GET /self` says: which process answers, so that a supervisor never takes another one's
    /// answer for that of the process that it watches.
    struct Identity: Decodable {
        let pid: Int32
        let ready: Bool
        let reason: String?
    }

    /// Of the control sockets and of `listen.ops` each: who watches, scrapes or commands uses a few.
    /// Whoever opens more waits, and takes no descriptors from the watch over the services.
    static let connectionBound = MaximumAvailableConnections(256)
    /// A connection on which nothing is asked is closed, so that it does not keep others out.
    static let patientServer = HTTPServerBuilder.http1(
        configuration: .init(idleTimeout: .seconds(60)))

    let socketPath: String
    let router: Router<BasicRequestContext>

    init(socketPath: String, registry: MetricsRegistry, readiness: @escaping Readiness) {
        self.socketPath = socketPath
        router = Router()
        router.get("metrics") { request, _ in
            Response.metrics(registry.encode(.text), .text)
        }
        router.get("healthz") { _, _ in Envelope.success { $0.value("alive") } }
        router.get("self") { _, _ in
            let reason = await readiness()
            return Envelope.success { json in
                json.object { json in
                    json.member("pid", Int(getpid()))
                    json.member("ready", reason == nil)
                    json.member("reason", reason)
                }
            }
        }
        router.get("readyz") { _, _ in
            if let reason = await readiness() {
                return Envelope.failure(.serviceUnavailable, reason)
            }
            return Envelope.success { $0.value("ready") }
        }
    }

    /// The caller holds the service's lock, so a socket that lies there belongs to nobody.
    func application() -> some ApplicationProtocol {
        try? FileManager.default.removeItem(atPath: socketPath)
        var logger = Logger(label: "control")
        logger.logLevel = .warning
        return Application(
            router: router, server: Self.patientServer,
            configuration: ApplicationConfiguration(
                address: .unixDomainSocket(path: socketPath),
                availableConnectionsDelegate: Self.connectionBound),
            logger: logger)
    }
}

extension Response {
    static func metrics(_ bytes: [UInt8], _ format: ExpositionFormat) -> Response {
        Response(
            status: .ok, headers: [.contentType: format.contentType],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
