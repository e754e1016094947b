internal import CHiredis
internal import Ledger

/// Replies as they come, one behind the other and without a tree of them: for those who read many rows and
/// look at each once.
///
/// The C library's reader is told to hand over each piece where it lies, instead of making an object of it.
final class FlatReplies {
    enum Kind: Int32 {
        case string, array, integer, null, status, error
    }

    struct Token {
        let kind: Kind
        /// Where its bytes begin.
        let start: Int
        /// Its bytes, an array's elements, or an integer.
        let count: Int
    }

    private(set) var tokens: [Token] = []
    private var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    private var end = 0

    deinit { bytes.deallocate() }

    func bytes(of token: Token) -> UnsafeBufferPointer<UInt8> {
        UnsafeRawBufferPointer(rebasing: bytes[token.start..<token.start + token.count])
            .assumingMemoryBound(to: UInt8.self)
    }

    func array(_ token: Token) -> [UInt8] { Array(bytes(of: token)) }

    func removeAll() {
        tokens.removeAll(keepingCapacity: true)
        end = 0
    }

    /// Reads so many replies of a connection behind those that are here.
    /// - Returns: false when the connection failed.
    func read(_ count: Int, from context: UnsafeMutablePointer<redisContext>) -> Bool {
        guard let reader = context.pointee.reader else { return false }
        let (functions, privdata) = (reader.pointee.fn, reader.pointee.privdata)
        defer {
            reader.pointee.fn = functions
            reader.pointee.privdata = privdata
        }
        var flat = Self.functions
        return withUnsafeMutablePointer(to: &flat) { flat in
            reader.pointee.fn = flat
            reader.pointee.privdata = Unmanaged.passUnretained(self).toOpaque()
            for _ in 0..<count {
                var reply: UnsafeMutableRawPointer?
                guard redisGetReply(context, &reply) == REDIS_OK else {
                    // Half an answer has this for its object, which is none that the library may free.
                    reader.pointee.reply = nil
                    return false
                }
            }
            return true
        }
    }

    fileprivate func take(_ kind: Kind, _ start: UnsafeRawPointer?, _ count: Int) {
        if let start {
            if end + count > bytes.count { grow(count) }
            if let base = bytes.baseAddress {
                (base + end).copyMemory(from: start, byteCount: count)
            }
            tokens.append(Token(kind: kind, start: end, count: count))
            end += count
        } else {
            tokens.append(Token(kind: kind, start: end, count: count))
        }
    }

    private func grow(_ count: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: (end + count) * 2, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        bytes.deallocate()
        bytes = larger
    }

    /// What the reader calls. It only wants to know that there is an object: any address will do.
    private static var functions: redisReplyObjectFunctions {
        redisReplyObjectFunctions(
            createString: { task, start, count in
                guard let task, let replies = FlatReplies.of(task) else { return nil }
                let kind: Kind =
                    switch task.pointee.type {
                    case REDIS_REPLY_ERROR: .error
                    case REDIS_REPLY_STATUS: .status
                    default: .string
                    }
                replies.take(kind, start.map { UnsafeRawPointer($0) }, count)
                return task.pointee.privdata
            },
            createArray: { task, count in
                guard let task, let replies = FlatReplies.of(task) else { return nil }
                replies.take(.array, nil, Int(count))
                return task.pointee.privdata
            },
            createInteger: { task, number in
                guard let task, let replies = FlatReplies.of(task) else { return nil }
                replies.take(.integer, nil, Int(number))
                return task.pointee.privdata
            },
            createNil: { task in
                guard let task, let replies = FlatReplies.of(task) else { return nil }
                replies.take(.null, nil, 0)
                return task.pointee.privdata
            },
            freeObject: { _ in })
    }

    /// Kept by whoever reads, as long as it reads.
    private static func of(_ task: UnsafePointer<redisReadTask>) -> FlatReplies? {
        task.pointee.privdata.map { Unmanaged<FlatReplies>.fromOpaque($0).takeUnretainedValue() }
    }
}
