import Foundation
import Ledger
import PaperBroker
import StrictYAML
import Trading

// The sections with settings of fixed names.

extension ConfigurationReader {
    func readSections(
        _ top: inout YAMLMapping, _ key: SecretKeyAccess, _ result: inout Configuration
    ) {
        _ = top.optional("listen")?.mapping { item -> Void? in
            if let ops = item.optional("ops")?.hostPort() { result.listen.ops = ops }
            if let trading = item.optional("trading")?.hostPort() {
                result.listen.trading = trading
            }
            return ()
        }
        readSecrets(&top, key, &result)
        readLimits(top.optional("limits"), &result.limits)
        readCapacity(&top, &result)
        readPaperBroker(top.optional("paper_broker"), &result.paperBroker)
    }

    private func readSecrets(
        _ top: inout YAMLMapping, _ key: SecretKeyAccess, _ result: inout Configuration
    ) {
        var hasJWT = false
        var keyFilePlace: Place?
        _ = top.optional("secrets")?.mapping { item -> Void? in
            if let value = item.optional("key_file"), let path = SecretKeyAccess.readPath(value) {
                result.secrets.keyFile = path
                keyFilePlace = value.place
            }
            hasJWT = item.contains("jwt")
            if let value = item.optional("jwt"), let jwt = value.secret() {
                result.secrets.jwt = jwt
                checkJWT(jwt) { value.refuse($0, $1) }
            }
            return ()
        }
        // A key file that nobody named may be absent until a value needs it.
        if let error = key.error, keyFilePlace != nil || !error.isMissing {
            findings.error(keyFilePlace ?? top.place, "key_file: \(error.problem)", error.remedy)
        }
        if !hasJWT { readDefaultJWT(top, key, &result) }
    }

    private func readDefaultJWT(
        _ top: YAMLMapping, _ key: SecretKeyAccess, _ result: inout Configuration
    ) {
        let file = result.dataDirectory + "/jwt.key"
        guard let found = try? KeyFile.read(file) else {
            return top.refuse(
                "secrets.jwt is left out, and \(file) cannot be read",
                "add 'secrets: {jwt: \"${file:PATH}\"}'")
        }
        found.permissions.judge(file, at: top.place, findings)
        result.secrets.jwt = Secret(found.text)
        checkJWT(result.secrets.jwt) { top.refuse("\($0) (\(file))", $1) }
    }

    private func checkJWT(_ jwt: Secret, refuse: (String, String) -> Void) {
        let least = SecretSettings.jwtByteCountMin
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
        result.broker.data = result.hasPaperBroker ? result.broker.paper : BrokerSettings.alpacaData
    }

    private func readPaperBroker(_ value: YAMLValue?, _ settings: inout PaperBrokerSettings) {
        _ = value?.mapping { item -> Void? in
            if let list = item.optional("symbols") {
                settings.symbols = list.names(readSymbol) ?? []
            }
            set(&settings.seed, item.optional("seed"), 0...Int.max)
            if let cash = item.optional("cash")?.decimal(from: .zero) { settings.cash = cash }
            if let value = item.optional("quotes"), let path = AbsolutePath.read(value) {
                checkQuotes(path, value)
                settings.quotes = path
            }
            set(&settings.requestsPerMinute, item.optional("requests_per_minute"), 1...100_000_000)
            return ()
        }
    }

    private func readSymbol(
        _ name: String, _ place: Place, _ value: YAMLValue
    ) -> PaperBrokerSettings.Symbol? {
        let price = value.decimal()
        if let price { checkPrice(price, value) }
        guard AllowedInstruments.isSymbol(name) else {
            findings.error(
                place, "'\(name.prefix(40))' is no symbol",
                "write up to 32 capitals, digits, '.', '/' or '-'")
            return nil
        }
        return price.map { PaperBrokerSettings.Symbol(symbol: name, price: $0) }
    }

    /// The walk is in whole cents and never below a dollar, so it cannot begin elsewhere.
    private func checkPrice(_ price: ExactDecimal, _ value: YAMLValue) {
        let remedy = "write one such as 189.30"
        if price < ExactDecimal(1) {
            value.refuse("\(value.name): \(value.shown) is below 1, where no price begins", remedy)
        } else if price.scale > 2 {
            value.refuse("\(value.name): \(value.shown) is not in whole cents", remedy)
        } else if price >= ExactDecimal(10_000_000) {
            value.refuse("\(value.name): \(value.shown) is too large", "write less than 10000000")
        }
    }

    private func checkQuotes(_ path: String, _ value: YAMLValue) {
        do {
            try QuoteFile.check(path)
        } catch {
            value.refuse("quotes: \(value.shown): \(error.problem)", error.remedy)
        }
    }

    private func set(_ setting: inout Int, _ value: YAMLValue?, _ range: ClosedRange<Int>) {
        if let number = value?.integer(in: range) { setting = number }
    }

    private func set(_ setting: inout Duration, _ value: YAMLValue?) {
        if let duration = value?.duration() { setting = duration }
    }
}
