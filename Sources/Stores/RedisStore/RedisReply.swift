internal import CHiredis

/// What a server answers, copied out of the C library's memory.
public enum RedisReply: Sendable, Hashable {
    case null
    case integer(Int64)
    /// A short word of the server's own, as `OK`.
    case status(String)
    case bulk([UInt8])
    case array([RedisReply])
    /// The server refuses; the text begins with the kind, as `WRONGTYPE`.
    case error(String)
}

extension RedisReply {
    var bytes: [UInt8]? {
        if case .bulk(let bytes) = self { bytes } else { nil }
    }

    var text: String? {
        switch self {
        case .bulk(let bytes): String(validating: bytes, as: UTF8.self)
        case .status(let text): text
        default: nil
        }
    }

    var elements: [RedisReply]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    var integer: Int64? {
        if case .integer(let number) = self { number } else { nil }
    }

    /// Copies; the caller frees the original.
    init(_ reply: UnsafePointer<redisReply>) {
        let length = reply.pointee.len
        switch reply.pointee.type {
        case REDIS_REPLY_INTEGER: self = .integer(reply.pointee.integer)
        case REDIS_REPLY_STATUS: self = .status(Self.text(reply.pointee.str, length))
        case REDIS_REPLY_ERROR: self = .error(Self.text(reply.pointee.str, length))
        case REDIS_REPLY_STRING:
            let characters = UnsafeBufferPointer(start: reply.pointee.str, count: length)
            self = .bulk(characters.withMemoryRebound(to: UInt8.self) { Array($0) })
        case REDIS_REPLY_ARRAY:
            self = .array(
                (0..<reply.pointee.elements).map { index in
                    reply.pointee.element?[index].map { RedisReply(UnsafePointer($0)) } ?? .null
                })
        default: self = .null
        }
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ length: Int) -> String {
        let characters = UnsafeBufferPointer(start: start, count: length)
        return characters.withMemoryRebound(to: UInt8.self) {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
