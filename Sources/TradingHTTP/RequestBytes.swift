package import Hummingbird
import NIOCore

extension Request {
    /// A body that is too large is read and dropped up to here.
    private static let droppedBytesMax = 256 << 20

    /// The whole body. One that is too large is read all the same before it is refused: most clients look
    /// for the answer when they have sent everything, and would wait for ever.
    package func bytes(upTo limit: Int) async throws(APIError) -> [UInt8] {
        var bytes: [UInt8] = []
        var count = 0
        do {
            for try await part in body {
                count += part.readableBytes
                if count > Self.droppedBytesMax { break }
                if count > limit {
                    bytes = []
                } else {
                    bytes += part.readableBytesView
                }
            }
        } catch {
            throw .badRequest("the body did not come to its end")
        }
        guard count <= limit else {
            throw APIError(
                status: .contentTooLarge, message: "the body is over \(limit / 1_024) KiB")
        }
        return bytes
    }
}
