internal import Ledger

/// What is gone that opsd has written: evicted by a server whose memory was full, or taken out by somebody.
///
/// opsd takes a row's data and its stamp out in one transaction, so a stamp without data is no row that
/// was deleted. Where a whole key is gone with its stamps, the digests tell that its account has rows.
/// None of it holds for a cache, and for a dataset that is not whole.
extension RedisConnection {
    /// A stamp was found, and no data with it.
    func noteVanished(_ coding: RowCoding, _ key: [UInt8], _ field: [UInt8]? = nil)
        throws(StoreError)
    {
        guard try isKept(coding) else { return }
        let place = field.map { "the field \(RedisProblem.shown($0)) of " } ?? ""
        throw gone("\(place)the key \(RedisProblem.shown(key))")
    }

    /// Neither data nor stamps were found in a key. Where that is all that an account has, it should have
    /// no rows.
    func noteEmpty(_ coding: RowCoding, _ key: [UInt8]) throws(StoreError) {
        guard let accountField = coding.schema.accountField, coding.keyIndexes == [accountField],
            let account = coding.values(coding.key, in: key)?.first?.value.text
        else { return }
        let scope = DigestScope(dataset: coding.schema.dataset, account: account)
        var transaction = RedisTransaction()
        transaction.append("HGET", StoreRecord.digestsKey, StoreRecord.digestField(scope))
        transaction.append("EXISTS", key, coding.stampKey(key))
        let replies = try results(ofReading: transaction)
        guard let digest = replies[0].bytes, replies[1].integer == 0,
            try StoreRecord.digest(StoreRecord.digestField(scope), digest, store: store).digest
                .count > 0,
            try isKept(coding)
        else { return }
        throw gone("the key \(RedisProblem.shown(key))")
    }

    /// The index of a dataset's keys does not know a row: then it must have other rows, or there are none.
    func noteUnindexed(_ coding: RowCoding) throws(StoreError) {
        var transaction = RedisTransaction()
        transaction.append("EXISTS", coding.indexKey)
        guard try results(ofReading: transaction).first?.integer == 0 else { return }
        let dataset = coding.schema.dataset
        let hasRows = try digests().contains { $0.scope.dataset == dataset && $0.digest.count > 0 }
        guard hasRows, try isKept(coding) else { return }
        throw gone("the key \(RedisProblem.shown(coding.indexKey))")
    }

    private func isKept(_ coding: RowCoding) throws(StoreError) -> Bool {
        if coding.timeToLive != nil { return false }
        var transaction = RedisTransaction()
        transaction.append(
            "HEXISTS", StoreRecord.key, StoreRecord.wholeField(coding.schema.dataset))
        return try results(ofReading: transaction).first?.integer == 1
    }

    private func gone(_ place: String) -> StoreError {
        .damaged(
            store: store,
            problem:
                "what opsd wrote into \(place) is gone; see that maxmemory-policy is noeviction, and "
                + "run 'opsd rebuild' for this store")
    }
}
