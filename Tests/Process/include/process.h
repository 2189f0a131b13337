#pragma once
// Nothing to call: what there is to do is done when the process starts.
