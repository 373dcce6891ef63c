#include "core/errc.hpp"

namespace cairn {

std::string_view to_string(errc code) {
  switch (code) {
    case errc::success: return "success";
    case errc::size_mismatch: return "size_mismatch";
    case errc::md5_mismatch: return "md5_mismatch";
    case errc::adler32_mismatch: return "adler32_mismatch";
    case errc::invalid_message: return "invalid_message";
    case errc::unknown_node: return "unknown_node";
    case errc::unknown_segment: return "unknown_segment";
    case errc::duplicate_segment: return "duplicate_segment";
    case errc::sequence_out_of_order: return "sequence_out_of_order";
    case errc::cancelled: return "cancelled";
    case errc::no_space: return "no_space";
    case errc::storage_error: return "storage_error";
    case errc::database_unavailable: return "database_unavailable";
    case errc::busy: return "busy";
    case errc::shutting_down: return "shutting_down";
    case errc::not_found: return "not_found";
    case errc::damaged: return "damaged";
    case errc::version_mismatch: return "version_mismatch";
    case errc::timed_out: return "timed_out";
    case errc::conflict: return "conflict";
    case errc::internal_error: return "internal_error";
    case errc::not_allowed: return "not_allowed";
  }
  return "unknown_code";
}

bool is_definite(errc code) {
  return code != errc::database_unavailable && code != errc::timed_out && code != errc::internal_error;
}

} // namespace cairn
