internal import Ledger

/// Opens connections that are ready for use: at the master, with the user's rights, in the database.
struct RedisConnector: Sendable {
    let store: String
    let url: RedisURL
    let timeout: Duration

    func open() async throws(StoreError) -> RedisConnection {
        let connection = RedisConnection(store: store)
        do throws(StoreError) {
            try await connection.perform { connection throws(StoreError) in
                try open(connection)
            }
        } catch {
            await connection.close()
            throw error
        }
        return connection
    }

    private func open(_ connection: isolated RedisConnection) throws(StoreError) {
        switch url.place {
        case .address(let address):
            try connection.connect(to: address, timeout: timeout)
            try enter(connection)
        case .socket(let path):
            try connection.connect(toSocket: path, timeout: timeout)
            try enter(connection)
        case .sentinels(let sentinels, let master):
            try open(connection, through: sentinels, master: master)
        }
    }

    private func enter(_ connection: isolated RedisConnection) throws(StoreError) {
        if let password = url.password {
            if let user = url.user {
                _ = try connection.command("AUTH", user, password.reveal())
            } else {
                _ = try connection.command("AUTH", password.reveal())
            }
        }
        // Always, since it also shows whether the server wants a password or is loading.
        _ = try connection.command("SELECT", String(url.database))
    }

    // MARK: - Sentinel

    /// Asks one Sentinel after the other, until one names a server that says itself that it is the
    /// master: after a failover an old Sentinel may still name the old one.
    private func open(
        _ connection: isolated RedisConnection, through sentinels: [RedisURL.Address],
        master: String
    ) throws(StoreError) {
        var problems: [String] = []
        var areStrangers = true
        for sentinel in sentinels {
            do throws(StoreError) {
                guard let address = try ask(connection, sentinel, master) else {
                    problems.append("\(sentinel) knows no master '\(master)'")
                    continue
                }
                areStrangers = false
                try connection.connect(to: address, timeout: timeout)
                try enter(connection)
                let role = try connection.command("ROLE").elements?.first?.text
                if role == "master" { return }
                problems.append("\(sentinel) names \(address), which is a \(role ?? "stranger")")
            } catch .refused(let store, let problem) {
                throw .refused(store: store, problem: problem)
            } catch {
                areStrangers = false
                problems.append("\(sentinel): \(error)")
            }
        }
        connection.disconnect()
        let list = problems.joined(separator: "; ")
        if areStrangers {
            throw .refused(store: store, problem: "\(list): correct the name in the store's url")
        }
        throw .unavailable(store: store, problem: list)
    }

    private func ask(
        _ connection: isolated RedisConnection, _ sentinel: RedisURL.Address, _ master: String
    ) throws(StoreError) -> RedisURL.Address? {
        let answer = try ask(connection, sentinel, "get-master-addr-by-name", of: master)
        guard let words = answer.elements, words.count == 2, let host = words[0].text,
            let word = words[1].text
        else { return nil }
        guard let port = Int(word), (1...65_535).contains(port) else {
            throw .unavailable(
                store: store, problem: "it names the port '\(word.prefix(60))', which is none")
        }
        return RedisURL.Address(host: host, port: port)
    }

    private func ask(
        _ connection: isolated RedisConnection, _ sentinel: RedisURL.Address, _ word: String,
        of master: String
    ) throws(StoreError) -> RedisReply {
        // A Sentinel that is gone must not use up what the master may need.
        try connection.connect(to: sentinel, timeout: min(timeout, .seconds(1)))
        let question = RedisCommands("SENTINEL", word, master)
        var answer = try connection.send(question).first ?? .null
        if case .error(let text) = answer, text.hasPrefix("NOAUTH"), let password = url.password {
            _ = try connection.command("AUTH", password.reveal())
            answer = try connection.send(question).first ?? .null
        }
        if case .error(let text) = answer { throw RedisProblem.error(text, store: store) }
        return answer
    }

    /// What the first Sentinel that answers knows of itself and the others; nil where there are none.
    func watch() async throws(StoreError) -> RedisFacts.Watch? {
        guard case .sentinels(let sentinels, let master) = url.place else { return nil }
        let connection = RedisConnection(store: store)
        var last = connection.unavailable("no Sentinel is named")
        for sentinel in sentinels {
            do throws(StoreError) {
                let words = try await connection.perform { connection throws(StoreError) in
                    try ask(connection, sentinel, "master", of: master).words
                }
                await connection.close()
                return RedisFacts.Watch(
                    sentinels: (Int(words["num-other-sentinels"] ?? "") ?? 0) + 1,
                    quorum: Int(words["quorum"] ?? "") ?? 0)
            } catch {
                last = error
            }
        }
        await connection.close()
        throw last
    }
}

extension RedisReply {
    /// Of names and texts in turn.
    var words: [String: String] {
        Dictionary(
            pairs.map {
                (
                    String(decoding: $0.field, as: UTF8.self),
                    String(decoding: $0.value, as: UTF8.self)
                )
            }, uniquingKeysWith: { first, _ in first })
    }
}
