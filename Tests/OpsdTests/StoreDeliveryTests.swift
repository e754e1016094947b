import DualWrite
import Ledger
import SQLiteStore
import Testing
import TradingHTTP

@testable import opsd

/// What the answer to a write waits for, by the configuration's routes.
@Suite struct StoreDeliveryTests {
    private static let text = """
        stores:
          files: {kind: files, path: ./files}
          local: {kind: sqlite, path: ./local.sqlite}
          third: {kind: sqlite, path: ./third.sqlite}
        datasets:
          alone: {ROW}
          kept: {ROW, old: files}
          shadowed: {ROW, old: files, new: local, also: [third]}
          moving: {ROW, old: files, new: local, read: new, fallback: old}
          moved: {ROW, old: files, new: local, also: [third], read: new}
          back: {ROW, old: files, new: local, also: [third], on_failure: roll_back}
          lonely: {ROW, on_failure: roll_back}
          passing: {kind: cache, key: [name], fields: {value: text}, old: files, new: local, read: new}
        """.replacing("ROW", with: "kind: declared, key: [name], fields: {value: text}")

    private struct NoRows: CoreRows {
        let store: any RowStore
        let catalogue: SchemaCatalogue

        func reach(_ sequence: SequenceNumber) async throws(StoreError) {}
    }

    private func delivery() throws -> (delivery: StoreDelivery, configuration: Configuration) {
        let folder = try ConfigurationFolder()
        let configuration = try folder.load(Self.text)
        let feed = JournalFeed(
            directory: folder.path("journal"), head: .none, schemas: configuration.catalogue)
        let core = try SQLiteStore(
            path: folder.path("core.sqlite"), schemas: configuration.catalogue)
        let local = try SQLiteStore(
            path: folder.path("local.sqlite"), schemas: configuration.catalogue)
        let dualWrite = DualWrite(
            routes: configuration.routeTable, stores: ["local": local], journal: "j", feed: feed,
            source: NoRows(store: core, catalogue: configuration.catalogue))
        return (StoreDelivery(configuration, dualWrite), configuration)
    }

    @Test func theStageAndTheRuleDecideWhatIsPromised() throws {
        let (delivery, configuration) = try delivery()
        for dataset in ["alone", "kept", "shadowed", "moving", "lonely", "passing", "nothing"] {
            #expect(delivery.promise(for: dataset) == nil, "\(dataset)")
        }
        #expect(
            delivery.promise(for: "moved")
                == DataPromise(stores: ["local"], within: .seconds(5), otherwise: .toldBehind))
        #expect(
            delivery.promise(for: "back")
                == DataPromise(
                    stores: ["local", "files", "third"], within: .seconds(2),
                    otherwise: .rolledBack))
        // A cache has no rows, so no store waits for them.
        #expect(configuration.routeTable["passing"] == nil)
        #expect(configuration.catalogue["passing"] == nil)
        #expect(configuration.catalogue["moved"]?.kind == .declared)
    }

    @Test(.timeLimit(.minutes(1)))
    func aStoreThatDoesNotComeIsMissingWhenTheTimeIsOver() async throws {
        let delivery = try delivery().delivery
        // Its follower does not run.
        let promise = DataPromise(
            stores: ["local", "files"], within: .milliseconds(50), otherwise: .rolledBack)
        let missing = await delivery.missing(
            SequenceNumber(epoch: 1, number: 1), of: "back", in: promise)
        #expect(missing == ["files", "local"])
    }
}
