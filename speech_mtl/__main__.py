from speech_mtl.cli import main

main()
