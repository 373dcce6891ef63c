#pragma once
/// Messages and replies for a person who looks into a difference.

#include "tests/model/contract_model.hpp"

#include <optional>
#include <string>
#include <vector>

namespace cairn::model {

/// One line about a message.
std::string describe(const operation& message);
std::string describe(const std::optional<archive_reply>& reply);
std::string describe(const named_segment_key& key);
/// The unified ids that a message names.
std::vector<unified_id> versions_of(const operation& message);

} // namespace cairn::model
