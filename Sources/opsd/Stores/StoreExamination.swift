import Ledger
import PostgresStore
import RedisStore

/// Asks the servers of a configuration how they are set up, each over a connection of its own.
struct StoreExamination: Sendable {
    let configuration: Configuration

    struct Outcome: Sendable {
        let store: StoreSettings
        let found: Result<[StoreAdvice], StoreError>

        var status: ExitStatus {
            guard case .success(let advice) = found else { return .unknown }
            if advice.contains(where: { $0.verdict == .unknown }) { return .unknown }
            return advice.contains { $0.verdict == .warning } ? .found : .done
        }
    }

    /// In the order of the configuration; stores that are files are not among them.
    func run() async -> [Outcome] {
        let servers = configuration.stores.filter(\.kind.isServer)
        let found = await withTaskGroup(of: (String, Outcome).self) { group in
            for store in servers {
                group.addTask { (store.name, Outcome(store: store, found: await ask(store))) }
            }
            return await group.reduce(into: [String: Outcome]()) { $0[$1.0] = $1.1 }
        }
        return servers.compactMap { found[$0.name] }
    }

    private func ask(_ store: StoreSettings) async -> Result<[StoreAdvice], StoreError> {
        do {
            switch store.kind {
            case .redis:
                let questions = RedisQuestions(
                    name: store.name, url: try RedisURL(store.url?.reveal() ?? ""),
                    timeout: store.timeout)
                return .success(
                    RedisAdvice.of(try await questions.facts(), keepsRows: keepsRows(store.name)))
            case .postgres:
                let settings = try PostgresSettings(
                    url: store.url ?? Secret(""), timeout: store.timeout)
                return .success(PostgresAdvice.of(try await PostgresFacts.ask(settings)))
            case .files, .sqlite: return .success([])
            }
        } catch let error as StoreError {
            return .failure(error)
        } catch {
            return .failure(.refused(store: store.name, problem: "\(error)"))
        }
    }

    /// Whether something lies there that is no cache.
    private func keepsRows(_ store: String) -> Bool {
        configuration.events?.store == store
            || configuration.datasets.contains { dataset in
                dataset.stores.contains(store) && dataset.schema?.kind != .cache
            }
    }
}
