import Foundation
import Ledger
import StrictYAML
import Trading

// The sections with settings of fixed names.

extension ConfigurationReader {
    func readSections(_ top: inout YAMLMapping, _ result: inout Configuration) {
        _ = top.optional("listen")?.mapping { item -> Void? in
            if let ops = item.optional("ops")?.hostPort() { result.listen.ops = ops }
            if let trading = item.optional("trading")?.hostPort() {
                result.listen.trading = trading
            }
            return ()
        }
        readSecrets(&top, &result)
        readLimits(top.optional("limits"), &result.limits)
        readCapacity(&top, &result)
        readPaperBroker(top.optional("paper_broker"), &result.paperBroker)
    }

    private func readSecrets(_ top: inout YAMLMapping, _ result: inout Configuration) {
        var hasJWT = false
        _ = top.optional("secrets")?.mapping { item -> Void? in
            if let path = AbsolutePath.read(item.optional("key_file")) {
                result.secrets.keyFile = path
            }
            hasJWT = item.contains("jwt")
            if let value = item.optional("jwt"), let jwt = value.secret() {
                result.secrets.jwt = jwt
                checkJWT(jwt) { value.refuse($0, $1) }
            }
            return ()
        }
        guard !hasJWT else { return }
        let file = result.dataDirectory + "/jwt.key"
        let place = top
        do {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            result.secrets.jwt = Secret(text.trimmingCharacters(in: .newlines))
            checkJWT(result.secrets.jwt) { place.refuse("\($0) (\(file))", $1) }
        } catch {
            place.refuse(
                "secrets.jwt is left out, and \(file) cannot be read",
                "add 'secrets: {jwt: \"${file:PATH}\"}'")
        }
    }

    private func checkJWT(_ jwt: Secret, refuse: (String, String) -> Void) {
        let least = SecretSettings.jwtByteCountMin
        // Signing with the cipher text, which stands in the file for all to read, would let anybody
        // make tokens.
        guard !jwt.isEncrypted else {
            return refuse(
                "jwt is encrypted, which this version of opsd does not decrypt",
                "write ${file:PATH} or ${env:NAME}")
        }
        guard jwt.byteCount < least else { return }
        refuse(
            "jwt has \(jwt.byteCount) bytes, fewer than \(least)",
            "write at least \(least) random bytes, as 'openssl rand -hex 32' makes them")
    }

    private func readLimits(_ value: YAMLValue?, _ limits: inout LimitSettings) {
        let number = 1...10_000_000
        _ = value?.mapping { item -> Void? in
            set(&limits.requestsPerSecond, item.optional("requests_per_second"), number)
            set(
                &limits.accountRequestsPerSecond, item.optional("account_requests_per_second"),
                number)
            set(&limits.connections, item.optional("connections"), 1...100_000)
            set(&limits.accountConnections, item.optional("account_connections"), 1...1_000)
            set(&limits.acquireTimeout, item.optional("acquire_timeout"))
            return ()
        }
    }

    private func readCapacity(_ top: inout YAMLMapping, _ result: inout Configuration) {
        _ = top.optional("engine")?.mapping { item -> Void? in
            set(&result.engine.queue, item.optional("queue"), 1...10_000_000)
            set(&result.engine.workers, item.optional("workers"), 1...1_000)
            return ()
        }
        _ = top.optional("journal")?.mapping { item -> Void? in
            // A journal smaller than this would roll with nearly every batch.
            if let size = item.optional("roll_at")?.byteSize(from: 1_000_000) {
                result.journal.rollAt = size
            }
            if let keep = item.optional("keep")?.duration(from: .seconds(60)) {
                result.journal.keep = keep
            }
            return ()
        }
    }

    /// After the services, because they decide where market data comes from by default.
    func readBroker(_ value: YAMLValue?, _ result: inout Configuration) {
        var hasData = false
        _ = value?.mapping { item -> Void? in
            if let kind = item.optional("kind")?.choice(BrokerKind.self) {
                result.broker.kind = kind
            }
            if let live = item.optional("live")?.url() { result.broker.live = live }
            if let paper = item.optional("paper")?.url() { result.broker.paper = paper }
            hasData = item.contains("data")
            if let data = item.optional("data")?.url() { result.broker.data = data }
            set(
                &result.broker.requestsPerMinute, item.optional("requests_per_minute"),
                1...10_000_000)
            return ()
        }
        guard !hasData else { return }
        let hasPaperBroker = result.services.contains { $0.program == .builtin(.paperBroker) }
        result.broker.data = hasPaperBroker ? result.broker.paper : BrokerSettings.alpacaData
    }

    private func readPaperBroker(_ value: YAMLValue?, _ settings: inout PaperBrokerSettings) {
        _ = value?.mapping { item -> Void? in
            if let list = item.optional("symbols") {
                settings.symbols = list.names(readSymbol) ?? []
            }
            set(&settings.seed, item.optional("seed"), 0...Int.max)
            if let cash = item.optional("cash")?.decimal(from: .zero) { settings.cash = cash }
            if let value = item.optional("quotes"), let path = AbsolutePath.read(value) {
                if !FileManager.default.fileExists(atPath: path) {
                    value.refuse("\(path) does not exist", "create it, or correct the path")
                }
                settings.quotes = path
            }
            set(&settings.requestsPerMinute, item.optional("requests_per_minute"), 1...100_000_000)
            return ()
        }
    }

    private func readSymbol(
        _ name: String, _ place: Place, _ value: YAMLValue
    ) -> PaperBrokerSettings.Symbol? {
        let price = value.decimal(from: .zero)
        if let price, price.isZero {
            value.refuse("\(value.name): a price is above zero", "write one such as 189.30")
        }
        guard AllowedInstruments.isSymbol(name) else {
            findings.error(
                place, "'\(name.prefix(40))' is no symbol",
                "write up to 32 capitals, digits, '.', '/' or '-'")
            return nil
        }
        return price.map { PaperBrokerSettings.Symbol(symbol: name, price: $0) }
    }

    private func set(_ setting: inout Int, _ value: YAMLValue?, _ range: ClosedRange<Int>) {
        if let number = value?.integer(in: range) { setting = number }
    }

    private func set(_ setting: inout Duration, _ value: YAMLValue?) {
        if let duration = value?.duration() { setting = duration }
    }
}
