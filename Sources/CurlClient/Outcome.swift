import CCurl
import Foundation

/// Reads a finished handle: the answer, or the error and what it says about delivery.
enum Outcome {
    static func result(
        of transfer: Transfer, easy: UnsafeMutableRawPointer, code: CURLcode
    ) -> Result<CurlResponse, CurlError> {
        guard code == CURLE_OK else {
            return .failure(error(of: transfer, easy: easy, code: code))
        }
        var status = 0
        opsd_easy_get_long(easy, CURLINFO_RESPONSE_CODE, &status)
        var microseconds: curl_off_t = 0
        opsd_easy_get_offset(easy, CURLINFO_TOTAL_TIME_T, &microseconds)
        return .success(
            CurlResponse(
                status: status, headers: CurlHeaders(transfer.fields), body: transfer.body,
                duration: .microseconds(Int64(microseconds))))
    }

    /// libcurl counts the request's bytes as the socket takes them, over all its attempts. None
    /// means that no server can have acted; the error's code alone would not prove that (a
    /// connection may be refused on the second attempt, after the first had been sent).
    static func delivery(of easy: UnsafeMutableRawPointer) -> CurlError.Delivery {
        var requestBytes = 0
        opsd_easy_get_long(easy, CURLINFO_REQUEST_SIZE, &requestBytes)
        var bodyBytes: curl_off_t = 0
        opsd_easy_get_offset(easy, CURLINFO_SIZE_UPLOAD_T, &bodyBytes)
        return requestBytes == 0 && bodyBytes == 0 ? .notSent : .ambiguous
    }

    private static func error(
        of transfer: Transfer, easy: UnsafeMutableRawPointer, code: CURLcode
    ) -> CurlError {
        CurlError(
            reason: reason(of: transfer, code: code),
            delivery: delivery(of: easy), target: transfer.target,
            detail: detail(of: transfer, code: code))
    }

    private static func reason(of transfer: Transfer, code: CURLcode) -> CurlError.Reason {
        if transfer.isTooLarge { return .responseTooLarge }
        // libcurl's own code is that of a server that refuses.
        if transfer.socketError != 0, code == CURLE_COULDNT_CONNECT { return .outOfResources }
        return reason(code)
    }

    private static func detail(of transfer: Transfer, code: CURLcode) -> String {
        if transfer.isTooLarge {
            return "the answer is larger than \(transfer.responseBytesMax) bytes"
        }
        if transfer.socketError != 0, code == CURLE_COULDNT_CONNECT {
            return "no socket could be made: \(String(cString: strerror(transfer.socketError)))"
        }
        // The error buffer may quote what was sent; the code's own name never does.
        return String(cString: curl_easy_strerror(code))
    }

    private static func reason(_ code: CURLcode) -> CurlError.Reason {
        switch code {
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL: .invalidRequest
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .couldNotResolve
        case CURLE_COULDNT_CONNECT: .couldNotConnect
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM,
            CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE:
            .secureConnectionFailed
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: .outOfResources
        case CURLE_OPERATION_TIMEDOUT: .timedOut
        // The callback aborts only libcurl's own repetition over a lost connection.
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE,
            CURLE_ABORTED_BY_CALLBACK:
            .connectionLost
        default: .other
        }
    }
}
