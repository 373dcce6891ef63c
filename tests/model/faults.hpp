#pragma once
/// How random traffic makes messages wrong, or different from what was sent before. Whether a message is
/// right is for the model to say: it looks at the fields.

#include "tests/model/traffic.hpp"

namespace cairn::model {

/// Changes a field to another value that is right by itself.
void change_content(random_source& random, operation& message);
/// Puts a field out of its range, or breaks what must agree.
void spoil(random_source& random, operation& message);

} // namespace cairn::model
