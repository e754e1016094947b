import Control
import Foundation
import Ledger
import Logging
import PaperBroker
import ServiceLifecycle
import Trading
import UnixSignals

/// `opsd paper-broker`: the embedded broker in a process of its own.
struct PaperBrokerProcess {
    let configuration: Configuration

    func run() async throws {
        ProcessLimits.forbidCoreDumps()
        let registry = Telemetry.bootstrap(process: "paper-broker", descriptions: [])
        let layout = DataLayout(configuration)
        try layout.prepare()
        let lock = try layout.hold("paper-broker")
        defer { withExtendedLifetime(lock) {} }
        var logger = Logger(label: "paper-broker")
        logger.logLevel = .notice
        let settings = try settings(layout)
        let listening = ListeningAddress(
            key: "broker.paper", host: settings.host, port: settings.port)
        try listening.requireFree()
        let broker = try PaperBroker(configuration: settings, logger: logger)
        let isUp = AtomicFlag()
        let control = ControlServer(
            socketPath: layout.socket(of: "paper-broker"), registry: registry,
            readiness: { isUp.isSet ? nil : "not listening yet" })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: broker),
                    .init(service: control.application()),
                    .init(
                        service: TaskService {
                            guard (try? await broker.boundPort) != nil else { return }
                            isUp.set()
                            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
                        }),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await listening.run(group)
    }

    private func settings(_ layout: DataLayout) throws(CommandFailure) -> PaperBrokerConfiguration {
        let settings = configuration.paperBroker
        let address = configuration.broker.paper
        guard let port = address.port, let host = address.host() else {
            throw CommandFailure(
                .badInput, "broker.paper: \(address) has no port for the paper broker to listen at")
        }
        let accounts = configuration.accounts.accounts
            .filter { $0.credentials.paperTrading && $0.status.isConnected }
            .map {
                PaperBrokerConfiguration.Account(
                    keyID: $0.credentials.apiKey.reveal(),
                    secret: $0.credentials.secretKey.reveal(), initialCash: settings.cash)
            }
        return PaperBrokerConfiguration(
            host: host, port: port, dataFile: layout.paperBroker, accounts: accounts,
            startPrices: Dictionary(
                settings.symbols.map { ($0.symbol, $0.price) },
                uniquingKeysWith: { first, _ in first }),
            seed: UInt64(bitPattern: Int64(settings.seed)), quotesFile: settings.quotes,
            requestsPerMinute: settings.requestsPerMinute)
    }
}
