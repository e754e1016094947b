import Ledger

extension LateStore: RepairableStore {
    func images(_ keys: [RowKey]) async throws(StoreError) -> [RowImage] {
        throw .refused(store: "late", problem: "not yet")
    }
    func replace(_ replacements: [RowReplacement]) async throws(StoreError) -> [RowImage?] {
        throw .refused(store: "late", problem: "not yet")
    }
}
