// The page at /_sandbox/: self-contained, refreshes itself.
#pragma once

#include <string_view>

namespace postlane::sandbox {

std::string_view page();
std::string_view page_headers();  // Content-Security-Policy etc., each line ended by CRLF

}  // namespace postlane::sandbox
