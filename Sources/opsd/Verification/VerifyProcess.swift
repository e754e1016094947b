import Control
import Foundation
import Ledger
import Logging
import ServiceLifecycle
import UnixSignals
import Verify

/// `opsd verify --follow` as the built-in service: what changes is compared as soon as a store has it.
struct VerifyProcess {
    let configuration: Configuration

    func run() async throws {
        ProcessLimits.forbidCoreDumps()
        ProcessLimits.raiseOpenFiles()
        let registry = Telemetry.bootstrap(process: "verify", descriptions: [])
        let layout = DataLayout(configuration)
        try layout.prepare()
        let lock = try layout.hold("verify")
        defer { withExtendedLifetime(lock) {} }
        let logger = Logger(label: "verify")
        let isUp = AtomicFlag()
        let control = ControlServer(
            socketPath: layout.socket(of: BuiltinService.verify.rawValue), registry: registry,
            readiness: { isUp.isSet ? nil : "there is no journal to compare with yet" })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: TaskService { await follow(isUp, logger) }),
                    .init(service: control.application()),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }

    private func follow(_ isUp: AtomicFlag, _ logger: Logger) async {
        let followed = configuration.verify.compactMap(\.dataset).filter(\.follow).map(\.dataset)
        let places = configuration.verifiedPlaces.filter { followed.contains($0.dataset) }
        var limits = StoreCheck.Limits()
        limits.directory = configuration.dataDirectory
        var problem: String?
        while !Task.isCancelled {
            do throws(CommandFailure) {
                let run = try await Verification(configuration, places, limits)
                isUp.set()
                try await run.follow(VerificationWriter(isJSON: false, limit: 100))
                await run.close()
            } catch {
                if error.message != problem { logger.warning("\(error.message)") }
                problem = error.message
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }
}
