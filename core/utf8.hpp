#pragma once
/// Text that a PostgreSQL database in UTF8 takes.

#include <string>
#include <string_view>

namespace cairn {

/// True for well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates) without NUL.
bool is_storable_text(std::string_view text);

/// Any bytes as a message for people may quote them: in quotation marks, not long, without control characters
/// and bytes that are no text.
std::string quoted(std::string_view bytes);

/// The smallest text that is larger, in byte order, than every text that begins with `prefix`; empty = there
/// is none.
/// @param prefix storable text
std::string after_prefix(std::string_view prefix);

} // namespace cairn
