#include "net/network.hpp"

namespace cairn {

result<std::unique_ptr<network>> network::open(transport_options options) {
  std::unique_ptr<network> opened(new network);
  auto wire = transport::make(opened->system_, std::move(options));
  if (!wire)
    return pass_failure(wire);
  opened->wire_ = std::move(*wire);
  return opened;
}

} // namespace cairn
